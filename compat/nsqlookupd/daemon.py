"""nsqlookupd in this process: the registry and its two ports."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from types import TracebackType

from compat.accepting import Acceptor, with_protocol
from compat.http_answers import encode_json
from compat.http_api import Api
from compat.nsqlookupd.http import routes
from compat.nsqlookupd.options import NsqlookupdOptions
from compat.nsqlookupd.tcp import PeerConnection
from compat.nsqlookupd.topology import Topology
from compat.nsqlookupd.topology_registry import WatchedRegistry
from compat.version import NSQ_VERSION
from nsqgw.errors import NSQError
from nsqgw.service.listen import bound_address, bound_port, listen, remove_socket

logger = logging.getLogger(__name__)


class Nsqlookupd:
    """One directory. `await start()` and `await stop()`, or `async with`.

    What it knows lives in memory and is gone after `stop`. `tcp_address` and `http_address` are the
    "host:port" really listened on, once it was started.
    """

    def __init__(self, options: NsqlookupdOptions | None = None) -> None:
        self.options = options or NsqlookupdOptions()
        self.registry = WatchedRegistry(
            self.options.inactive_producer_timeout, self.options.tombstone_lifetime
        )
        self.connections: set[PeerConnection] = set()
        self.tcp_address = ""
        self.http_address = ""
        self.now = time.monotonic
        self.topology = Topology(self.registry, self.now)
        self._acceptor: Acceptor | None = None
        self._api: Api | None = None
        self._all_left = asyncio.Event()

    async def start(self) -> None:
        """Listen. Raises ListenFailed or ConfigError, whose text names the address and the remedy."""
        try:
            await self._listen()
        except NSQError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the ports and all connections."""
        await self.topology.stop()
        if self._acceptor is not None:
            await self._acceptor.stop()
        for connection in list(self.connections):
            connection.abort()
        if self.connections:
            await self._all_left.wait()
        if self._api is not None:
            await self._api.stop()
        for address in (self.tcp_address, self.http_address):
            remove_socket(address)

    async def __aenter__(self) -> Nsqlookupd:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def joined(self, connection: PeerConnection) -> None:
        """An nsqd connected."""
        self.connections.add(connection)
        self._all_left.clear()

    def left(self, connection: PeerConnection) -> None:
        """An nsqd's connection is gone."""
        self.connections.discard(connection)
        if not self.connections:
            self._all_left.set()

    def identity(self) -> bytes:
        """The answer to IDENTIFY (nsqlookupd 3.1)."""
        return encode_json(
            {
                "broadcast_address": self.options.broadcast_address,
                "hostname": socket.gethostname(),
                "http_port": max(bound_port(self.http_address), 0),
                "tcp_port": max(bound_port(self.tcp_address), 0),
                "version": NSQ_VERSION,
            }
        )

    async def _listen(self) -> None:
        sockets = listen(self.options.tcp_address)
        self._acceptor = Acceptor(sockets, with_protocol(lambda: PeerConnection(self)))
        self.tcp_address = bound_address(sockets)
        logger.info("TCP: listening on %s", self.tcp_address)
        sockets = listen(self.options.http_address)
        self._api = Api([*routes(self), *self.topology.routes()], logger)
        self._api.listen(sockets)
        self.http_address = bound_address(sockets)
        logger.info("HTTP: listening on %s", self.http_address)
        if self.options.topology_topic:
            self.topology.publish(
                self.options.topology_topic, self.options.topology_nsqd_tcp_addresses, self.http_address
            )
