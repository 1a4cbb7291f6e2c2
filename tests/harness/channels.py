"""Consumers of a channel without sockets, for tests of the broker's policy."""

from __future__ import annotations

from collections.abc import Sequence

from compat.nsqd.backend import MemoryBackend, MemoryBudget
from compat.nsqd.consumer import Consumer
from compat.nsqd.message import Message

NOW_NS = 1_700_000_000_000_000_000


class Inbox:
    """A consumer and what it was sent."""

    def __init__(self, rdy: int = 0, msg_timeout: float = 60.0, sample_rate: int = 0) -> None:
        self.messages: list[Message] = []
        self.deliveries = 0
        self.closed = False
        self.consumer = Consumer(self._deliver, self._close, msg_timeout=msg_timeout, sample_rate=sample_rate)
        self.consumer.rdy = rdy

    @property
    def bodies(self) -> list[bytes]:
        return [message.body for message in self.messages]

    @property
    def ids(self) -> list[bytes]:
        return [message.id for message in self.messages]

    def _deliver(self, messages: Sequence[Message]) -> None:
        self.messages += messages
        self.deliveries += 1

    def _close(self) -> None:
        self.closed = True


class Woken:
    """Counts who asked for a turn."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _who: object) -> None:
        self.count += 1


def memory_backend(*_: object) -> MemoryBackend:
    """What a broker without a data path has behind its queues."""
    return MemoryBackend(MemoryBudget(), lambda reason: None)


def make_messages(*bodies: bytes) -> list[Message]:
    return [Message(b"%016x" % number, NOW_NS, body) for number, body in enumerate(bodies)]
