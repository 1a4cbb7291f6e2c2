"""Where a feed's messages go before they are finished: the hub of this process, or the shared history."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from gateways.push.entry import Entry, Seen
from gateways.push.hub import Hub


class NotTaken(Exception):
    """The messages are not surely there: nsqd has to keep them."""


class Outlet(Protocol):
    """What takes messages, by channel."""

    def unknown(self, topic: str, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of `entries` that it has not taken, as far as it can tell without waiting."""
        ...

    async def put(self, routed: Mapping[str, Sequence[Entry]]) -> None:
        """Take messages by channel; once this returns they may be finished. NotTaken else."""
        ...


class HubOutlet:
    """Straight to the browsers of this process; what nsqd delivers again is known by its key."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seen: defaultdict[str, Seen] = defaultdict(Seen)
        self._turn = asyncio.Lock()
        """Topics may feed one channel, and a browser may follow several channels by one position: every
        burst is handed out before the next is numbered."""

    def unknown(self, topic: str, entries: Sequence[Entry]) -> Sequence[Entry]:
        seen = self._seen[topic]
        return [entry for entry in entries if seen.is_new(entry.key)]

    async def put(self, routed: Mapping[str, Sequence[Entry]]) -> None:
        for channel, entries in routed.items():
            async with self._turn:
                for _ in self._hub.fan_out(channel, entries):
                    await asyncio.sleep(0)
