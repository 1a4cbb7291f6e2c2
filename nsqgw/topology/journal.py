"""What happened last, numbered: readers that were away for a while go on where they were.

Bounded in events and bytes; whoever asks for what fell out gets a snapshot, and is told how much was missed.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from nsqgw.topology.changes import Change
from nsqgw.topology.cluster import Cluster
from nsqgw.topology.events import Event, Position, Snapshot, encode

CAPACITY = 10_000
"""Events kept."""
MAX_BYTES = 8 * 1024 * 1024
"""Bytes they take at most: names are the nodes' to choose."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event and its JSON, made once for all readers."""

    event: Event
    data: bytes


class Journal:
    """The state and the changes that led to it. `clock` gives Unix seconds."""

    def __init__(
        self,
        cluster: Cluster | None = None,
        *,
        capacity: int = CAPACITY,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cluster = cluster or Cluster()
        self.epoch = secrets.token_hex(8)
        self.sequence = 0
        self.listeners: set[Callable[[list[Change]], None]] = set()
        """Called with the changes of each `record`, behind it; they must not wait."""
        self._entries: deque[Entry] = deque()
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._bytes = 0
        self._clock = clock

    @property
    def position(self) -> Position:
        """Where somebody stands who has everything."""
        return Position(self.epoch, self.sequence)

    def record(self, changes: Iterable[Change]) -> None:
        """These changes happen now."""
        recorded = list(changes)
        if not recorded:
            return
        now = self._clock()
        self.cluster.apply(recorded)
        for change in recorded:
            self.sequence += 1
            self._keep(Event(self.epoch, self.sequence, now, change))
        for listener in tuple(self.listeners):
            listener(recorded)

    def snapshot(self) -> Entry:
        """The state as it is, as an event."""
        event = Event(self.epoch, self.sequence, self._clock(), Snapshot(self.cluster.copy()))
        return Entry(event, encode(event))

    def after(self, position: Position) -> list[Entry] | None:
        """What happened since; None when that is not known, because it fell out or never was."""
        missing = self.sequence - position.sequence
        if position.epoch != self.epoch or not 0 <= missing <= len(self._entries):
            return None
        return list(islice(self._entries, len(self._entries) - missing, None))

    def _keep(self, event: Event) -> None:
        entry = Entry(event, encode(event))
        self._entries.append(entry)
        self._bytes += len(entry.data)
        while len(self._entries) > self._capacity or self._bytes > self._max_bytes:
            self._bytes -= len(self._entries.popleft().data)
