"""The connections a producer may use: all that are alive, in turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle

from nsqgw.config import ProducerConfig
from nsqgw.connection import Connection
from nsqgw.connection.address_map import AddressMap
from nsqgw.connection.replies import Requester
from nsqgw.errors import Closed, NSQError
from nsqgw.instrument import Connected, Disconnected, OnFact
from nsqgw.lookup.client import all_nsqds
from nsqgw.lookup.feed import TopologyFeed
from nsqgw.lookup.sources import Sources
from nsqgw.producer.keys import owner

logger = logging.getLogger(__name__)


class Pool:
    """Keeps the nsqds connected; `pick` gives the living connections in turn."""

    def __init__(self, config: ProducerConfig, on_fact: OnFact) -> None:
        self._config = config
        self._on_fact = on_fact
        self._sources: Sources | None = None
        self._alive: list[Connection] = []
        self._in_turn: Iterator[Connection] = iter(())
        self._changed = asyncio.Event()
        self._closing = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses connected now."""
        return tuple(connection.address for connection in self._alive)

    @property
    def problems(self) -> dict[str, str]:
        """The last trouble with each nsqd and nsqlookupd."""
        return self._sources.problems if self._sources is not None else {}

    def start(
        self,
        nsqds: Iterable[str],
        lookupds: Iterable[str],
        feed: TopologyFeed,
        address_map: AddressMap,
        requester: Requester,
        on_connected: Callable[[], None],
    ) -> None:
        """Begin to connect; `on_connected` is called for each connection that may be used."""
        self._requester = requester
        self._on_connected = on_connected
        self._sources = Sources(
            all_nsqds(),
            nsqds,
            lookupds,
            self._config,
            self._serve,
            self._on_fact,
            address_map=address_map,
            follow=feed.follow_nsqds,
        )
        self._sources.start()

    def pick(self) -> Connection | None:
        """A living connection, the next in turn; None when there is none."""
        connection = next(self._in_turn, None)
        if connection is None or not connection.closed:
            return connection
        for _ in self._alive:  # a closed one leaves at the next turn of the loop
            if not (connection := next(self._in_turn)).closed:
                return connection
        return None

    def pick_for(self, key: bytes) -> Connection | None:
        """The living connection for `key`: always the same one while it lives; None when there is none."""
        alive = {connection.address: connection for connection in self._alive if not connection.closed}
        address = owner(key, alive)
        return None if address is None else alive[address]

    async def wait(self) -> None:
        """Until there is a living connection; Closed when there will be none any more."""
        while self.pick() is None:
            if self._closing:
                raise Closed("the producer was stopped")
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Deliver what was sent and end all connections."""
        self._closing = True
        self._changed.set()
        sources = self._sources
        if sources is None:
            return
        await sources.stop_connecting()
        hanging_up = {connection.address: connection.hang_up() for connection in self._alive}
        ends = await asyncio.gather(*hanging_up.values(), return_exceptions=True)
        for address, error in zip(hanging_up, ends, strict=True):
            if isinstance(error, Exception):
                logger.error("hanging up on %s failed", address, exc_info=error)
        await sources.close()

    async def _serve(self, connection: Connection) -> None:
        connection.set_requester(self._requester)
        self._alive.append(connection)
        self._in_turn = cycle(self._alive)
        self._changed.set()
        if self._sources is not None:
            self._sources.recovered(connection.address)
        self._on_fact(Connected(connection.address))
        self._on_connected()
        reason: NSQError | None = None
        try:
            await connection.run()
        except NSQError as error:
            reason = None if self._closing else error
        finally:
            self._alive.remove(connection)
            self._in_turn = cycle(self._alive)
            if reason is not None and self._sources is not None:
                self._sources.disconnected(connection.address, reason)
            self._on_fact(Disconnected(connection.address, reason, connection.unanswered_commands))
