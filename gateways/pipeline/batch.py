"""Batches by count, encoded bytes and age, gathered over all topics: pure, clock readings are passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nsqgw.message import Message


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is cut.

    max_messages  it holds so many
    max_bytes     the next event would make it larger than this, encoded and framed; a single larger event
                  goes alone
    max_age       so many seconds after its first message arrived
    """

    max_messages: int = 500
    max_bytes: int = 5_000_000
    max_age: float = 1.0

    def within(self, max_events: int, max_bytes: int) -> BatchLimits:
        """Not above these; 0 is no limit."""
        return BatchLimits(
            min(self.max_messages, max_events or self.max_messages),
            min(self.max_bytes, max_bytes or self.max_bytes),
            self.max_age,
        )


class Batch:
    """Messages and their encoded events, side by side in order of arrival.

    `born` is when the first message arrived, `size` the bytes of the events with their framing. A sink may
    remember what became of a batch by a weak reference.
    """

    __slots__ = ("__weakref__", "born", "events", "messages", "size")

    def __init__(self, born: float) -> None:
        self.born = born
        self.messages: list[Message] = []
        self.events: list[bytes] = []
        self.size = 0

    def __len__(self) -> int:
        return len(self.messages)

    def copied_bytes(self) -> int:
        """Bytes of the bodies that are kept beside their events; 0 where these are the bodies."""
        if not self.messages or self.events[0] is self.messages[0].body:
            return 0
        return sum([len(message.body) for message in self.messages])

    def pick(self, indices: Iterable[int]) -> Batch:
        """A batch of these events."""
        part = Batch(self.born)
        for index in indices:
            part.messages.append(self.messages[index])
            part.events.append(self.events[index])
        framing = (self.size - sum(map(len, self.events))) // len(self.events)
        part.size = sum(map(len, part.events)) + framing * len(part.events)
        return part

    def halves(self) -> tuple[Batch, Batch]:
        """The first half and the other one; of two events at least."""
        middle = len(self.messages) // 2
        return self.pick(range(middle)), self.pick(range(middle, len(self.messages)))

    @staticmethod
    def joined(parts: Sequence[Batch]) -> Batch:
        """One batch of several, in their order."""
        whole = Batch(min(part.born for part in parts))
        for part in parts:
            whole.messages += part.messages
            whole.events += part.events
            whole.size += part.size
        return whole


class Batcher:
    """The open batch. `encode` and `event_overhead` are the sink's, so sizes are what really travels.

    `max_bytes` may be lowered while it runs, for a far side that turned out to take less.
    """

    def __init__(
        self, limits: BatchLimits, encode: Callable[[Message], bytes], event_overhead: int = 0
    ) -> None:
        self._limits = limits
        self._encode = encode
        self._event_overhead = event_overhead
        self._open = Batch(0.0)
        self.max_bytes = limits.max_bytes

    @property
    def open(self) -> Batch | None:
        """The batch being filled, None when it is empty."""
        return self._open if self._open.messages else None

    @property
    def due_at(self) -> float | None:
        """When the open batch has reached its age."""
        return self._open.born + self._limits.max_age if self._open.messages else None

    def add(
        self, messages: Sequence[Message], now: float, views: Sequence[Message] | None = None
    ) -> list[Batch]:
        """Take messages in; the batches that became full by them.

        `views` are the same messages as transforms have made them: those are encoded, and the messages
        themselves answered.
        """
        events = [*map(self._encode, messages if views is None else views)]
        full: list[Batch] = []
        start = 0
        while start < len(events):
            room = self._limits.max_messages - len(self._open)
            part = events[start : start + room]
            size = sum(map(len, part)) + self._event_overhead * len(part)
            if self._open.size + size > self.max_bytes:
                return full + self._add_one_by_one(messages[start:], events[start:], now)
            if not self._open.messages:
                self._open.born = now
            self._open.messages += messages[start : start + room]
            self._open.events += part
            self._open.size += size
            start += room
            full += self._cut_if_full()
        return full

    def cut(self) -> Batch | None:
        """Close the open batch, whatever its size; None when it is empty."""
        batch = self.open
        self._open = Batch(0.0)
        return batch

    def _cut_if_full(self) -> list[Batch]:
        batch = self._open
        if len(batch.messages) < self._limits.max_messages and batch.size < self.max_bytes:
            return []
        self._open = Batch(0.0)
        return [batch]

    def _add_one_by_one(self, messages: Sequence[Message], events: list[bytes], now: float) -> list[Batch]:
        """For those among which a batch is full by its bytes."""
        full: list[Batch] = []
        for message, event in zip(messages, events, strict=True):
            size = len(event) + self._event_overhead
            if self._open.messages and self._open.size + size > self.max_bytes:
                full.append(self._open)
                self._open = Batch(now)
            batch = self._open
            if not batch.messages:
                batch.born = now
            batch.messages.append(message)
            batch.events.append(event)
            batch.size += size
            full += self._cut_if_full()
        return full
