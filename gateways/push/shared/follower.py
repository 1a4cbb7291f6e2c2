"""What is added to the shared history, on its way to this process' browsers.

Redis announces what is added; announcements may be missed when the connection is lost. So after each
connect, and whenever a number is missing, everything after the last number is read from the history. What
is not there any more is a gap, and so is a Redis that was started again or emptied: it may have lost what
nobody here has seen. Messages that browsers have had are known by their keys then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence

from gateways.push.frame import Frame
from gateways.push.hub import Hub
from gateways.push.shared.store import State, Store, Stored, StoreUnreachable, by_channel
from nsqgw.deadline import within

logger = logging.getLogger(__name__)

RETRY_DELAY = 0.5
"""Seconds between two tries to follow."""


class Follower:
    """Keeps `hub` where the shared history is, while it runs."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._joined = False
        self._last = 0
        self._connected = asyncio.Event()
        self._torn = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def tear(self) -> None:
        """Messages may have been lost before this process got them: all processes will hear of it."""
        self._torn.set()

    async def start(self, timeout: float) -> None:
        """Begin to follow; returns when this process has what is kept, or after `timeout` seconds."""
        self._store.open()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._report_tears())]
        with contextlib.suppress(asyncio.TimeoutError):
            await within(timeout, self._connected.wait())

    async def stop(self) -> None:
        """Follow no longer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreUnreachable):
            await self._store.close()

    @property
    def connected(self) -> bool:
        """Whether everything that was added is here, or on its way."""
        return self._connected.is_set()

    async def _run(self) -> None:
        """Follow until cancelled, through whatever becomes of Redis."""
        told = False
        while True:
            try:
                await self._follow()
            except StoreUnreachable as error:
                if self._connected.is_set() or not told:
                    logger.warning("the shared history is not reached, and tried again: %s", error)
            except Exception:  # a mistake of ours must not leave browsers without messages for good
                logger.exception("the shared history cannot be followed, and is tried again")
            told = True
            self._connected.clear()
            await asyncio.sleep(RETRY_DELAY)

    async def _report_tears(self) -> None:
        while True:
            await self._torn.wait()
            self._torn.clear()
            try:
                await self._store.tear()
            except StoreUnreachable:  # told by `_run`
                self._torn.set()
                await asyncio.sleep(RETRY_DELAY)

    async def _follow(self) -> None:
        async with self._store.news() as pubsub:
            await self._catch_up(await self._store.state())
            self._connected.set()
            logger.info("following the shared history in %s", self._store.name)
            while True:
                news = await self._store.next_news(pubsub)
                if news is not None:
                    await self._take(*news)

    async def _take(self, epoch: str, added: Sequence[Stored]) -> None:
        """Announced messages, with the next numbers unless something was missed."""
        new = [stored for stored in added if stored.number > self._last]
        if epoch != self._hub.numbering.epoch or (new and new[0].number != self._last + 1):
            await self._catch_up(await self._store.state())
        elif new:
            self._reached(new[-1].number)
            if any(not stored.channel for stored in new):
                self._hub.tear_all()
            await self._deliver(by_channel(new))

    async def _catch_up(self, state: State) -> None:
        if self._joined and state.epoch == self._hub.numbering.epoch and state.number >= self._last:
            await self._resume(state)
        else:
            await self._begin(state)

    async def _resume(self, state: State) -> None:
        """Read what was added since the last number."""
        known, hub = self._last, self._hub
        missed = await self._read(known, state.number)  # all of it first: whatever fails, it is read again
        self._reached(state.number)
        if max(state.forgotten, state.torn) > known:
            hub.tear_all()
        for channel, (last, stored) in missed.items():
            if stored[0].before > known if stored else last <= state.number:
                hub.tear_channel(channel)
        await self._deliver({channel: stored for channel, (_, stored) in missed.items()})

    async def _begin(self, state: State) -> None:
        """Read everything: this process is new, or Redis has begun anew and may have lost something."""
        hub, first = self._hub, not self._joined
        everything = await self._read(0, state.number)
        lost_until = max(state.forgotten, state.torn)
        self._joined = True
        hub.begin(state.epoch, state.number, lost_until if first else state.number)
        self._reached(state.number)
        if not first or hub.is_followed:
            logger.warning("the shared history in %s has begun anew: a gap for browsers", self._store.name)
            hub.tear_all()
        new: dict[str, Sequence[Stored]] = {}
        for channel, (last, stored) in everything.items():
            if hub.topic_of(channel) is None:  # other processes may stream other topics
                continue
            if first:
                before = max(stored[0].before if stored else last, state.torn)
                hub.restore(channel, self._frames(stored), before)
            else:
                kept = hub.keys(channel)
                new[channel] = [one for one in stored if one.entry.key not in kept]
        await self._deliver(new)

    async def _read(self, after: int, until: int) -> dict[str, tuple[int, list[Stored]]]:
        """By channel, the number of its last message and what is kept of those between the numbers."""
        return {
            channel: (last, await self._store.history(channel, after, until))
            for channel, last in await self._store.channels_after(after)
        }

    async def _deliver(self, added: Mapping[str, Sequence[Stored]]) -> None:
        """Keep all of it at once, since positions say that all until the last number is here; hand it out."""
        fan_outs = [
            self._hub.deliver(channel, self._frames(stored))
            for channel, stored in added.items()
            if stored and self._hub.topic_of(channel) is not None
        ]
        for fan_out in fan_outs:
            for _ in fan_out:
                await asyncio.sleep(0)

    def _frames(self, stored: Sequence[Stored]) -> list[Frame]:
        epoch = self._hub.numbering.epoch
        return [Frame(one.entry, one.channel, epoch, one.number) for one in stored]

    def _reached(self, number: int) -> None:
        self._last = self._hub.numbering.last = number
