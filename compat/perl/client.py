"""AnyEvent::NSQ::Client: connections to all nsqds given or found, kept up, for readers and writers."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from compat.perl.callbacks import call, checked, split_callback, takes_an_argument
from compat.perl.connection import Connection, Info, warn
from compat.perl.identity import configuration
from compat.perl.loop import event_loop
from nsqgw.config import ConsumerConfig
from nsqgw.connection import Connection as Link
from nsqgw.connection.address import TcpAddress, parse_address
from nsqgw.connection.address_map import AddressMap
from nsqgw.errors import ConfigError, NotConnected
from nsqgw.http.answer import Answer
from nsqgw.instrument import ConnectFailed, Fact, LookupFailed
from nsqgw.lookup.client import Names, Question, all_nsqds, lookup_address, who_has
from nsqgw.lookup.sources import Sources

_NSQD_PORT = 4150


class Client:
    """Connects at once to every nsqd named, or to those that nsqlookupd knows (for `topic`, if given).

    Either `nsqd_tcp_addresses` or `lookupd_http_addresses`, each an address or a list of them; the port
    4150 may be left out. What is lost is connected again, with growing pauses. Callbacks:

    connect_cb(connection)                 each time a connection is made, and then
    identify_cb(client, connection, info)  with what nsqd granted
    disconnect_cb(client, connection)      it has ended, also by `disconnect`
    error_cb(short, long)                  anything that went wrong; by default a warning in the log
    lookup_cb(addresses)                   at each answer of an nsqlookupd; it may do without the argument
    """

    def __init__(
        self,
        *,
        nsqd_tcp_addresses: str | Iterable[str] | None = None,
        lookupd_http_addresses: str | Iterable[str] | None = None,
        lookupd_poll_interval: float = 30.0,
        lookup_cb: Callable[..., object] | None = None,
        topic: str | None = None,
        client_id: str | None = None,
        hostname: str | None = None,
        connect_timeout: float | None = None,
        connect_cb: Callable[[Connection], object] | None = None,
        identify_cb: Callable[[Any, Connection, Info], object] | None = None,
        disconnect_cb: Callable[[Any, Connection], object] | None = None,
        error_cb: Callable[[str, str], object] | None = None,
    ) -> None:
        self._nsqds = tuple(map(_with_port, _listed(nsqd_tcp_addresses)))
        self._lookupds = _listed(lookupd_http_addresses)
        if bool(self._nsqds) == bool(self._lookupds):
            raise ConfigError("give either nsqd_tcp_addresses or lookupd_http_addresses")
        for address in self._lookupds:
            lookup_address(address)
        self._lookup_cb = checked("lookup_cb", lookup_cb)
        self._connect_cb = checked("connect_cb", connect_cb)
        self._identify_cb = checked("identify_cb", identify_cb)
        self._disconnect_cb = checked("disconnect_cb", disconnect_cb)
        self._error_cb = checked("error_cb", error_cb) or warn
        self._question = self._told(who_has(topic) if topic else all_nsqds())
        self._config = ConsumerConfig(
            connection=configuration({"client_id": client_id, "hostname": hostname}, connect_timeout),
            lookupd_poll_interval=lookupd_poll_interval,
        )
        self._connections: list[Connection] = []
        self._end = asyncio.Event()
        self._task = event_loop().create_task(self._live())

    # -- life

    @property
    def connections(self) -> list[Connection]:
        """Those that nsqd has answered and that live."""
        return [connection for connection in self._connections if connection.connected]

    def disconnect(self, cb: Callable[[Any, Any, Info], object] | None = None) -> None:
        """Disconnect everywhere, for good; `cb(connection, connection, info)` is called for each connection.

        Where there is none, it is called once, with None for the connection.
        """
        connections = self.connections
        for connection in connections:
            connection.disconnect(cb)
        if not connections:
            event_loop().call_soon(call, checked("the callback of disconnect", cb), None, None, {})
        self._end.set()

    async def wait_closed(self) -> None:
        """Until all connections have ended after `disconnect`."""
        await asyncio.wait({self._task})

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()
        await self.wait_closed()

    # -- commands

    def publish(self, topic: str, *arguments: Any) -> None:
        """`publish(topic, body, ..., cb)` on one of the living connections, chosen at random.

        `cb(client, topic, bodies, connection, info)` is called at success; it may be left out or None.
        Raises as Connection.publish; NotConnected when no connection lives.
        """
        bodies, cb = split_callback(arguments)
        living = self.connections
        if not living:
            raise NotConnected("no nsqd is connected; publish in identify_cb, or later")

        def published(connection: Connection, info: Info) -> None:
            call(cb, self, topic, bodies, connection, info)

        random.choice(living).publish(topic, *bodies, published)

    def ready(self, count: int) -> None:
        """Send RDY on each connection; a Reader shares the count out instead."""
        for connection in self.connections:
            connection.ready(count)

    # -- inside

    async def _live(self) -> None:
        self._sources = Sources(
            self._question,
            self._nsqds,
            self._lookupds,
            self._config,
            self._serve,
            self._on_fact,
            address_map=AddressMap(None),
        )
        self._sources.start()
        try:
            await self._end.wait()
        finally:
            await self._sources.stop_connecting()
            await asyncio.gather(*(connection.wait_farewell() for connection in self._connections))
            await self._sources.close()

    async def _serve(self, link: Link) -> None:
        """One connection, from its handshake to its end."""
        connection = _KeptConnection(self, link)
        self._connections.append(connection)
        try:
            call(self._connect_cb, connection)
            reason = await connection.serve(link)
        finally:
            self._connections.remove(connection)
            self._lost(connection)
        if reason is not None:
            self._sources.disconnected(link.address, reason)

    def _identified(self, connection: Connection, info: Info) -> None:
        """nsqd has answered IDENTIFY."""
        call(self._identify_cb, self, connection, info)

    def _lost(self, connection: Connection) -> None:
        """The connection has ended, and `disconnect_cb` was called."""

    def _on_fact(self, fact: Fact) -> None:
        if isinstance(fact, ConnectFailed):
            long = f"nsqd at {_shown(fact.address)}: {fact.error}; the next try is in {fact.retry_in:.1f} s"
            call(self._error_cb, str(fact.error), long)
        elif isinstance(fact, LookupFailed):
            call(self._error_cb, str(fact.error), f"nsqlookupd {fact.address}: {fact.error}")

    def _told(self, question: Question) -> Question:
        """The question, with its answers told to `lookup_cb`."""
        lookup_cb = self._lookup_cb
        if lookup_cb is None:
            return question
        wants_addresses = takes_an_argument(lookup_cb)

        def read(answer: Answer) -> Names:
            names = question.read(answer)
            arguments = (sorted(names.values),) if wants_addresses else ()
            event_loop().call_soon(call, lookup_cb, *arguments)
            return names

        return dataclasses.replace(question, read=read)


class _KeptConnection(Connection):
    """A connection that its client makes, and makes again."""

    def __init__(self, client: Client, link: Link) -> None:
        where = parse_address(link.address)
        assert isinstance(where, TcpAddress)
        super().__init__(
            host=where.host,
            port=where.port,
            connect_cb=lambda _: None,
            disconnect_cb=lambda connection: call(client._disconnect_cb, client, connection),
            error_cb=client._error_cb,
        )
        self._identify_cb = client._identified

    def connect(self) -> None:
        """Its client does that."""


def _listed(addresses: str | Iterable[str] | None) -> tuple[str, ...]:
    if addresses is None:
        return ()
    return (addresses,) if isinstance(addresses, str) else tuple(addresses)


def _with_port(address: str) -> str:
    """The address, with nsqd's port where it has none; ConfigError when it is no TCP address."""
    has_port = ":" in address.rpartition("]")[2]
    full = address if has_port else f"{address}:{_NSQD_PORT}"
    if not isinstance(parse_address(full), TcpAddress):
        raise ConfigError(f"nsqd_tcp_addresses: {address!r} is no host or host:port")
    return full


def _shown(address: str) -> str:
    where = parse_address(address)
    return f"host {where.host!r} port {where.port}" if isinstance(where, TcpAddress) else address
