"""A front with a hub and no NSQ behind it, and a bare client that sends what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest

from gateways.push.access.tls import ServerTls
from gateways.push.channel import ChannelLimits
from gateways.push.context import Context
from gateways.push.front import Front
from gateways.push.http import Response
from gateways.push.hub import Hub
from gateways.push.limits import Limits
from gateways.push.policy import Policy
from gateways.push.push_stream.routes import PushStreamRoutes
from gateways.push.push_stream.settings import PushStreamSettings
from gateways.push.routes import Routes
from gateways.push.routing import Route, Routing
from harness.entries import entries
from nsqgw.service.hosts import AllowedHosts
from nsqgw.service.origin import OriginPolicy

PAGE = Response(HTTPStatus.OK, b"<!doctype html>", "text/html; charset=utf-8")
QUICK = Limits(look_interval=0.04, close_timeout=2.0)


@dataclass
class Served:
    """A running front and the parts under it."""

    front: Front
    context: Context
    hub: Hub

    @property
    def host(self) -> str:
        return self.front.address

    def publish(self, *bodies: bytes, topic: str = "events") -> None:
        """Fan out at once."""
        for channel, own in self.hub.routing.channels_of(topic, entries(*bodies)).items():
            for _ in self.hub.fan_out(channel, own):
                pass


@dataclass
class Peer:
    """A client that speaks bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read_until(self, mark: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(mark), 10)

    async def read_exactly(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), 10)

    async def read_all(self) -> bytes:
        """Everything until the server closes its side."""
        return await asyncio.wait_for(self.reader.read(), 10)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


Serve = Callable[..., Awaitable[Served]]
Dial = Callable[[Served], Awaitable[Peer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a front: `await serve(Limits(...), allow_origins=[...])`."""
    fronts: list[Front] = []

    async def start(
        limits: Limits = QUICK,
        allow_origins: tuple[str, ...] = (),
        policies: Mapping[str, Policy] | None = None,
        routes: tuple[Route, ...] = (),
        channels: ChannelLimits | None = None,
        push_stream: PushStreamSettings | None = None,
        tls: ServerTls | None = None,
        **parts: Any,
    ) -> Served:
        clock = asyncio.get_running_loop().time
        hub = Hub(Routing(["events", "other"], routes), clock, limits=channels)
        context = Context(hub=hub, limits=limits, clock=clock, policies=policies or {}, **parts)
        hosts = AllowedHosts("test:0")
        drop_in = PushStreamRoutes(context, push_stream) if push_stream is not None else None
        origins = OriginPolicy(allow_origins)
        routes = Routes(context, hosts, origins, {"/": PAGE}, lambda: {"events": True}, drop_in)
        front = Front(context, routes, tls)
        await front.start("127.0.0.1:0")
        fronts.append(front)
        return Served(front, context, hub)

    yield start
    for front in fronts:
        await front.close()


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Connects a bare client."""
    peers: list[Peer] = []

    async def connect(served: Served) -> Peer:
        host, _, port = served.host.rpartition(":")
        peer = Peer(*await asyncio.open_connection(host, int(port), limit=2**25))
        peers.append(peer)
        return peer

    yield connect
    for peer in peers:
        await peer.close()
