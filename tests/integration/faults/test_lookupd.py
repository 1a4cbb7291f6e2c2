"""Consumers whose nsqlookupds lie, hang or answer nonsense consume all the same, and tell what is wrong."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from harness import peers
from harness.consuming import Subject
from harness.polling import eventually_async
from harness.raw_server import Script, hang, raw_server
from harness.scripted import ScriptedNsqd
from nsqgw import ConnectionConfig, Message
from nsqgw.errors import NotConnected
from nsqgw.instrument import ConnectFailed, LookupFailed

OPTIONS: dict[str, Any] = {
    "connection": ConnectionConfig(connect_timeout=0.3),
    "lookupd_poll_interval": 0.1,
    "lookupd_poll_jitter": 0.0,
    "lookupd_timeout": 0.5,
}


class Lookupd:
    """Answers every question with the same status and body."""

    def __init__(self, body: bytes, status: str = "200 OK") -> None:
        self.head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        self.body = body

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.head + self.body)
        await writer.drain()
        await reader.read()


def naming(*addresses: str) -> Lookupd:
    """One that names these nsqds."""
    producers = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        producers.append({"broadcast_address": host, "tcp_port": int(port), "http_port": 1})
    return Lookupd(json.dumps({"channels": [], "producers": producers}).encode())


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address that refuses: bound, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield "{}:{}".format(*bound.getsockname())


def nothing(message: Message) -> None:
    pass


class Finder(Subject):
    """A consumer under test that finds its nsqds by these nsqlookupds."""

    def __init__(self, *lookupds: str) -> None:
        super().__init__(nothing, lookupd_http_addresses=lookupds, **OPTIONS)
        self.lookupds = lookupds


@asynccontextmanager
async def consumer_of(*scripts: Script) -> AsyncIterator[Finder]:
    """A running consumer, each of its nsqlookupds doing what its script says."""
    async with AsyncExitStack() as running:
        servers = [await running.enter_async_context(raw_server(script)) for script in scripts]
        yield await running.enter_async_context(Finder(*(server.address for server in servers)))


async def test_lies_about_nsqds_are_told_by_address_and_the_true_one_is_consumed(
    fake: ScriptedNsqd, nobody: str
) -> None:
    """Addresses that refuse, hang, are no nsqd or have no name: all are tried again, the rest goes on."""
    async with raw_server(hang) as mute, peers.serving(peers.http) as http:
        lies = {
            nobody: "Connection refused",
            mute.address: "no answer to IDENTIFY within 0.3 s",
            http: "the peer speaks HTTP",
            "nsqd.invalid:4150": "",
        }
        async with consumer_of(naming(*lies, fake.address)) as consumer:
            session = await fake.subscribed()
            session.deliver(1)
            await session.received("FIN")

            def told() -> list[int]:
                failed = [fact.address for fact in consumer.told(ConnectFailed)]
                return [failed.count(address) for address in lies]

            await eventually_async(lambda: min(told()) >= 2)
            for fact in consumer.told(ConnectFailed):
                assert fact.address in str(fact.error)
                assert lies[fact.address] in str(fact.error)
            assert {connection.address for connection in consumer.stats.connections} == {fake.address}


async def test_only_lies_are_all_named_when_the_wait_is_over(nobody: str) -> None:
    """The address a cluster advertises and that does not resolve is the usual one behind Docker."""
    async with consumer_of(naming(nobody, "nsqd.invalid:4150")) as consumer:
        await eventually_async(lambda: len({fact.address for fact in consumer.told(ConnectFailed)}) == 2)
        with pytest.raises(NotConnected) as caught:
            await consumer.wait_connected(0.01)
    assert f"{nobody}: Connection refused" in str(caught.value)
    assert "nsqd.invalid:4150: " in str(caught.value)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Lookupd(b"oops", "500 Internal Server Error"), "500"),
        (Lookupd(b'{"producers":[' + b" " * 10_000_000 + b"]}"), "larger than 4194304 bytes"),
        (Lookupd(b"\x00\xff garbage"), "no JSON"),
        (hang, "no answer within 0.5 s"),
    ],
    ids=["500", "10-MB", "garbage", "hangs"],
)
async def test_a_broken_nsqlookupd_is_told_while_the_other_one_serves_and_stop_is_quick(
    fake: ScriptedNsqd, broken: Any, words: str
) -> None:
    async with consumer_of(broken, naming(fake.address)) as consumer:
        session = await fake.subscribed()
        session.deliver(1)
        await session.received("FIN")
        told = await eventually_async(lambda: consumer.told(LookupFailed))
        assert {fact.address for fact in told} == {consumer.lookupds[0]}
        assert words in str(told[0].error)
        await asyncio.wait_for(consumer.stop(), 5)


async def test_an_nsqlookupd_that_turns_bad_takes_nothing_away(fake: ScriptedNsqd) -> None:
    """It is no reason to leave an nsqd that is alive; a lost one is tried as long as it was named last."""
    lookupd = naming(fake.address)
    async with consumer_of(lookupd) as consumer:
        session = await fake.subscribed()
        lookupd.head, lookupd.body = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", b""
        await eventually_async(lambda: consumer.told(LookupFailed))
        session.deliver(1)
        await session.received("FIN")
        session.drop()
        again = await fake.subscribed(1)
        again.deliver(2)
        await again.received("FIN")
