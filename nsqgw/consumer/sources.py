"""Where messages come from: the nsqds given and those nsqlookupd names, each kept connected by a task."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Awaitable, Callable, Iterable

from nsqgw.config import ConsumerConfig
from nsqgw.connection import Connection
from nsqgw.connection.address_map import AddressMap
from nsqgw.connection.keep import start_keeping
from nsqgw.connection.reconnect import ReconnectDelay
from nsqgw.errors import ConnectionFailed, NSQError
from nsqgw.instrument import ConnectFailed, Fact, LookupFailed, OnFact
from nsqgw.lookup.discovery import Discovery
from nsqgw.lookup.feed import TopologyFeed

Serve = Callable[[Connection], Awaitable[None]]


class Sources:
    """Starts `serve(connection)` for every connection it makes, one at a time per address.

    An nsqd given by address is wanted for ever; one that was found is wanted as long as the
    latest answers of nsqlookupd name it, and its living connection is never cut.
    """

    def __init__(
        self,
        topic: str,
        nsqd_addresses: Iterable[str],
        lookupd_addresses: Iterable[str],
        config: ConsumerConfig,
        serve: Serve,
        on_fact: OnFact,
        *,
        address_map: AddressMap,
        feed: TopologyFeed | None = None,
    ) -> None:
        self._topic = topic
        self._address_map = address_map
        self._feed = feed
        self._unfollow: Callable[[], None] | None = None
        self._static = frozenset(nsqd_addresses)
        self._found: frozenset[str] = frozenset()
        self._config = config
        self._serve = serve
        self._on_fact = on_fact
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.problems: dict[str, NSQError] = {}
        self._discovery: Discovery | None = None
        if lookupds := tuple(lookupd_addresses):
            self._discovery = Discovery(
                topic,
                lookupds,
                poll_interval=config.lookupd_poll_interval,
                poll_jitter=config.lookupd_poll_jitter,
                timeout=config.lookupd_timeout,
                auth_secret=config.lookupd_auth_secret,
                tls=config.lookupd_tls,
                on_found=self._on_found,
                on_failed=self._on_lookup_failed,
            )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The nsqds that are connected or to be connected."""
        return tuple(self._tasks)

    def start(self) -> None:
        """Begin to connect."""
        for address in sorted(self._static):
            self._keep(address)
        if self._discovery is not None:
            self._discovery.start()
        if self._feed is not None:
            self._unfollow = self._feed.follow(self._topic, self._on_announced)

    async def stop_connecting(self) -> None:
        """Make no new connections; the living ones stay."""
        if self._unfollow is not None:
            self._unfollow()
        if self._discovery is not None:
            await self._discovery.stop()
        self._static = self._found = frozenset()

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def disconnected(self, address: str, error: NSQError) -> None:
        """A connection was lost: ask nsqlookupd at once where the topic is now."""
        self.problems[address] = error
        if self._discovery is not None:
            self._discovery.poke()

    def _keep(self, address: str) -> None:
        if address in self._tasks:
            return
        task = start_keeping(
            address,
            self._config.connection,
            ReconnectDelay(self._config.reconnect_min_delay, self._config.reconnect_max_delay),
            self._serve,
            self._report,
            lambda: address in self._static or address in self._found,
        )
        self._tasks[address] = task
        task.add_done_callback(lambda _: self._tasks.pop(address, None))

    def _on_found(self, advertised: frozenset[str]) -> None:
        self._found = frozenset(map(self._address_map, advertised))
        for address in sorted(self._found):
            self._keep(address)

    def _on_announced(self, advertised: frozenset[str]) -> None:
        self._found |= frozenset(map(self._address_map, advertised))
        for address in sorted(self._found):
            self._keep(address)

    def _on_lookup_failed(self, address: str, error: NSQError) -> None:
        self._report(LookupFailed(address, error))

    def _report(self, fact: Fact) -> None:
        if isinstance(fact, ConnectFailed):
            fact = dataclasses.replace(fact, error=self._explained(fact))
        if isinstance(fact, ConnectFailed | LookupFailed):
            self.problems[fact.address] = fact.error
        self._on_fact(fact)

    def _explained(self, fact: ConnectFailed) -> NSQError:
        """The error; with a hint where nsqlookupd advertises a name that means nothing here."""
        if fact.address in self._static or not isinstance(fact.error.__cause__, socket.gaierror):
            return fact.error
        return ConnectionFailed(
            f"{fact.error}; nsqlookupd advertises this name: start that nsqd with a -broadcast-address that "
            "resolves from here, or give the consumer an address_map"
        )
