"""Batches by count, encoded bytes and age, gathered over all topics: pure, clock readings are passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gateways.pipeline.sink import Fate
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

    def divide(self, fates: Sequence[Fate]) -> tuple[list[Message], Batch | None]:
        """The confirmed messages, and a batch of the others if there are any.

        `fates` stands in the order of the batch. ValueError when it is of another length: then nothing may be
        concluded from it.
        """
        confirmed: list[Message] = []
        rest = Batch(self.born)
        for message, event, fate in zip(self.messages, self.events, fates, strict=True):
            if fate is Fate.CONFIRMED:
                confirmed.append(message)
            else:
                rest.messages.append(message)
                rest.events.append(event)
        if not rest.messages:
            return confirmed, None
        framing = (self.size - sum(map(len, self.events))) // len(self.events)
        rest.size = sum(map(len, rest.events)) + framing * len(rest.events)
        return confirmed, rest


class Batcher:
    """The open batch. `encode` and `event_overhead` are the sink's, so sizes are what really travels."""

    def __init__(
        self, limits: BatchLimits, encode: Callable[[Message], bytes], event_overhead: int = 0
    ) -> None:
        self._limits = limits
        self._encode = encode
        self._event_overhead = event_overhead
        self._open = Batch(0.0)

    @property
    def open(self) -> Batch | None:
        """The batch being filled, None when it is empty."""
        return self._open if self._open.messages else None

    @property
    def due_at(self) -> float | None:
        """When the open batch has reached its age."""
        return self._open.born + self._limits.max_age if self._open.messages else None

    def add(self, messages: Iterable[Message], now: float) -> list[Batch]:
        """Take messages in; the batches that became full by them."""
        full: list[Batch] = []
        limits = self._limits
        batch = self._open
        for message in messages:
            event = self._encode(message)
            size = len(event) + self._event_overhead
            if batch.messages and batch.size + size > limits.max_bytes:
                full.append(batch)
                batch = Batch(now)
            if not batch.messages:
                batch.born = now
            batch.messages.append(message)
            batch.events.append(event)
            batch.size += size
            if len(batch.messages) >= limits.max_messages or batch.size >= limits.max_bytes:
                full.append(batch)
                batch = Batch(now)
        self._open = batch
        return full

    def cut(self) -> Batch | None:
        """Close the open batch, whatever its size; None when it is empty."""
        batch = self.open
        self._open = Batch(0.0)
        return batch
