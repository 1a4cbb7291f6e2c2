"""The nsqds to be connected to: those given and those nsqlookupd names, each kept connected by a task.

Consumers take messages from them, producers publish to them.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Awaitable, Callable, Iterable

from nsqgw.config import ClientConfig
from nsqgw.connection import Connection
from nsqgw.connection.address_map import AddressMap
from nsqgw.connection.keep import start_keeping
from nsqgw.connection.reconnect import ReconnectDelay
from nsqgw.errors import ConnectionFailed, NSQError
from nsqgw.instrument import ConnectFailed, Fact, LookupFailed, OnFact
from nsqgw.lookup.client import Question
from nsqgw.lookup.discovery import Discovery, OnFailed, OnFound

Serve = Callable[[Connection], Awaitable[None]]
Follow = Callable[[OnFound], Callable[[], None]]
"""Begins to tell of nsqds as a TopologyFeed does; returns what is to be called when nobody wants to know."""

_KEEP_TRYING = 600.0
_FIRST_SEARCH = 1.0


def discovery_for(
    question: Question,
    lookupd_addresses: Iterable[str],
    config: ClientConfig,
    *,
    on_found: OnFound,
    on_failed: OnFailed,
) -> Discovery:
    """A Discovery with the settings of a consumer or producer."""
    return Discovery(
        question,
        lookupd_addresses,
        poll_interval=config.lookupd_poll_interval,
        poll_jitter=config.lookupd_poll_jitter,
        timeout=config.lookupd_timeout,
        auth_secret=config.lookupd_auth_secret,
        tls=config.lookupd_tls,
        on_found=on_found,
        on_failed=on_failed,
    )


class Sources:
    """Starts `serve(connection)` for every connection it makes, one at a time per address.

    An nsqd given by address is wanted for ever; one that was found is wanted for ten minutes more after
    nsqlookupd named it last, or its connection ended: one that restarts is not named for a while, and an
    nsqlookupd that is away says nothing about its nsqds. A living connection is never cut.
    """

    def __init__(
        self,
        question: Question,
        nsqd_addresses: Iterable[str],
        lookupd_addresses: Iterable[str],
        config: ClientConfig,
        serve: Serve,
        on_fact: OnFact,
        *,
        address_map: AddressMap,
        follow: Follow | None = None,
    ) -> None:
        self._address_map = address_map
        self._follow = follow
        self._unfollow: Callable[[], None] | None = None
        self._static = frozenset(nsqd_addresses)
        self._wanted_until: dict[str, float] = {}
        self._stopping = False
        self._living = 0
        self._search_timer: asyncio.TimerHandle | None = None
        self._clock = asyncio.get_running_loop().time
        self._config = config
        self._serve = serve
        self._on_fact = on_fact
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._troubles: dict[str, str] = {}  # as text: an exception would hold on to a dead connection
        self._discovery: Discovery | None = None
        if lookupds := tuple(lookupd_addresses):
            self._discovery = discovery_for(
                question, lookupds, config, on_found=self._on_found, on_failed=self._on_lookup_failed
            )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The nsqds that are connected or to be connected."""
        return tuple(self._tasks)

    @property
    def problems(self) -> dict[str, str]:
        """The last trouble with each nsqd and nsqlookupd that has not recovered, by address."""
        return self._troubles | (self._discovery.problems if self._discovery is not None else {})

    def start(self) -> None:
        """Begin to connect."""
        for address in sorted(self._static):
            self._keep(address)
        if self._discovery is not None:
            self._discovery.start()
        if self._follow is not None:
            self._unfollow = self._follow(self._on_found)

    async def stop_connecting(self) -> None:
        """Make no new connections; the living ones stay."""
        if self._unfollow is not None:
            self._unfollow()
        if self._discovery is not None:
            await self._discovery.stop()
        if self._search_timer is not None:
            self._search_timer.cancel()
        self._stopping = True

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def recovered(self, address: str) -> None:
        """A connection is of use: what was wrong with its nsqd is over."""
        self._troubles.pop(address, None)

    def disconnected(self, address: str, error: NSQError) -> None:
        """A connection was lost: ask nsqlookupd who else there is, until somebody is."""
        self._troubles[address] = str(error)
        self._wanted_until[address] = self._clock() + _KEEP_TRYING
        if self._discovery is not None and self._search_timer is None:
            self._search(_FIRST_SEARCH)

    def _search(self, pause: float) -> None:
        """Poll nsqlookupd now; again after growing pauses as long as there is nobody."""
        self._search_timer = None
        if self._discovery is None or self._stopping:
            return
        self._discovery.poke()
        if not self._living and pause < self._config.lookupd_poll_interval:
            loop = asyncio.get_running_loop()
            self._search_timer = loop.call_later(pause, self._search, pause * 2)

    def _keep(self, address: str) -> None:
        task = self._tasks.get(address)
        if self._stopping or (task is not None and not task.done()):
            return
        task = start_keeping(
            address,
            self._config.connection,
            ReconnectDelay(self._config.reconnect_min_delay, self._config.reconnect_max_delay),
            self._serve_one,
            self._report,
            lambda: self._is_wanted(address),
        )
        self._tasks[address] = task
        task.add_done_callback(lambda done: self._forget(address, done))

    async def _serve_one(self, connection: Connection) -> None:
        self._living += 1
        try:
            await self._serve(connection)
        finally:
            self._living -= 1

    def _is_wanted(self, address: str) -> bool:
        if self._stopping:
            return False
        return address in self._static or self._clock() < self._wanted_until.get(address, 0.0)

    def _forget(self, address: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(address) is task:
            del self._tasks[address]
            self._wanted_until.pop(address, None)
            self._troubles.pop(address, None)

    def _on_found(self, advertised: frozenset[str]) -> None:
        for address in sorted(map(self._address_map, advertised)):
            self._wanted_until[address] = self._clock() + _KEEP_TRYING
            self._keep(address)

    def _on_lookup_failed(self, address: str, error: NSQError) -> None:
        self._report(LookupFailed(address, error))

    def _report(self, fact: Fact) -> None:
        if isinstance(fact, ConnectFailed):
            fact = dataclasses.replace(fact, error=self._explained(fact))
            self._troubles[fact.address] = str(fact.error)
        self._on_fact(fact)

    def _explained(self, fact: ConnectFailed) -> NSQError:
        """The error; with a hint where nsqlookupd advertises a name that means nothing here."""
        if fact.address in self._static or not isinstance(fact.error.__cause__, socket.gaierror):
            return fact.error
        return ConnectionFailed(
            f"{fact.error}; nsqlookupd advertises this name: start that nsqd with a -broadcast-address that "
            "resolves from here, or give an address_map"
        )
