"""What stands behind a queue's memory: where messages go that mem-queue-size has no room for.

With a data path that is a DiskQueue, without one a MemoryBackend, so that a topic or channel need not know
which. Ephemeral ones have neither: what does not fit is dropped (nsqd-tcp section 14).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from compat.nsqd.message import Message

MESSAGE_OVERHEAD = 200
"""What a waiting message takes beside its body, in bytes, roughly."""

MEMORY_LIMIT = 1 << 30
"""Bytes that all the backends of a broker without a data path may hold together."""


class BackendFailed(Exception):
    """Nothing of what was put is stored; the text says why, as nsqd tells it to clients."""


class Backend(Protocol):
    """A FIFO queue of messages. `depth` is 0 exactly when there is nothing to get."""

    @property
    def depth(self) -> int: ...

    def put(self, messages: Sequence[Message]) -> None:
        """Store all of them at the end, or raise BackendFailed and store none."""

    def get(self, count: int, max_bytes: int) -> list[Message]:
        """Take up to `count` from the front, no more after `max_bytes` of bodies.

        Nothing may come although `depth` is not 0: what was there is damaged, or cannot be read at present.
        """

    def keep(self, message: Message) -> None:
        """The message is deferred; see that it outlives a crash, if anything here does."""

    def empty(self) -> None:
        """Drop everything."""

    def delete(self) -> None:
        """Drop everything for good; what is put from now on is dropped, too."""


class MemoryBudget:
    """How much of MEMORY_LIMIT is taken, over all queues of one broker."""

    def __init__(self) -> None:
        self.limit = MEMORY_LIMIT
        self.used = 0


class MemoryBackend:
    """A backend that lives and ends with the process, bounded by a budget shared with others.

    `stored` gets the reason of a put that was refused, or "" after one that was not.
    """

    def __init__(self, budget: MemoryBudget, stored: Callable[[str], None]) -> None:
        self._budget = budget
        self._stored = stored
        self._used = 0
        self._messages: deque[Message] = deque()

    @property
    def depth(self) -> int:
        return len(self._messages)

    def put(self, messages: Sequence[Message]) -> None:
        size = sum(map(_size, messages))
        if self._budget.used + size > self._budget.limit:
            reason = f"memory is full: {self._budget.limit} bytes, and there is no data path"
            self._stored(reason)
            raise BackendFailed(reason)
        self._account(size)
        self._messages.extend(messages)
        self._stored("")

    def get(self, count: int, max_bytes: int) -> list[Message]:
        taken: list[Message] = []
        size, popleft = 0, self._messages.popleft
        while self._messages and len(taken) < count and size < max_bytes:
            message = popleft()
            size += len(message.body)
            taken.append(message)
        self._account(-size - len(taken) * MESSAGE_OVERHEAD)
        return taken

    def keep(self, message: Message) -> None:
        pass

    def empty(self) -> None:
        self._account(-self._used)
        self._messages.clear()

    def delete(self) -> None:
        self.empty()

    def _account(self, size: int) -> None:
        self._used += size
        self._budget.used += size


def _size(message: Message) -> int:
    return len(message.body) + MESSAGE_OVERHEAD
