"""The queue of a topic or channel: memory first, then the backend (nsqd-behaviour section 1).

Who takes gets from both by turns, so that neither waits for the other to run dry; as in nsqd, the order of
publishing is lost where the backend comes into play.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from compat.nsqd.backend import Backend, BackendFailed
from compat.nsqd.message import Message

_BATCH = 1000
"""Messages that go to the backend at a time, when all of memory goes there."""


class MessageQueue:
    """`size` messages in memory, the others in `backend`; without one all in memory, until `drop_surplus`."""

    def __init__(self, size: int, backend: Backend | None) -> None:
        self._size = size
        self._backend = backend
        self._memory: deque[Message] = deque()
        self._backend_had_its_turn = False

    def __len__(self) -> int:
        return len(self._memory) + self.backend_depth

    @property
    def backend_depth(self) -> int:
        return 0 if self._backend is None else self._backend.depth

    @property
    def overfull(self) -> bool:
        """Whether memory holds what the backend did not take."""
        return len(self._memory) > self._size

    def put(self, messages: Sequence[Message]) -> None:
        """At the end. Raises BackendFailed: then none of them is in the queue."""
        memory = self._memory
        room = self._size - len(memory)
        if self._backend is None or len(messages) <= room:
            memory.extend(messages)
            return
        room = max(0, room)
        self._backend.put(messages[room:])
        memory.extend(messages[:room])

    def keep(self, messages: Iterable[Message]) -> None:
        """In memory, room or not."""
        self._memory.extend(messages)

    def defer(self, message: Message) -> None:
        """It waits elsewhere. Where memory is to hold nothing, the backend keeps it from being lost."""
        if not self._size and self._backend is not None:
            self._backend.keep(message)

    def take(self, count: int, max_bytes: int) -> list[Message]:
        """Up to `count`, no more after `max_bytes` of bodies; none when there is nothing that can be read."""
        memory = self._memory
        if self._backend is not None and self._backend.depth:
            self._backend_had_its_turn = not (self._backend_had_its_turn and memory)
            if self._backend_had_its_turn and (messages := self._backend.get(count, max_bytes)):
                return messages
        taken: list[Message] = []
        size, popleft = 0, memory.popleft
        count = min(count, len(memory))
        while len(taken) < count and size < max_bytes:
            message = popleft()
            size += len(message.body)
            taken.append(message)
        return taken

    def take_memory(self, count: int, max_bytes: int) -> list[Message]:
        """All that is in memory, and so much from behind it."""
        taken = list(self._memory)
        self._memory.clear()
        if self._backend is not None and self._backend.depth:
            taken += self._backend.get(count, max_bytes)
        return taken

    def find_unstored(self, message_id: bytes) -> Message | None:
        """The message, if it is among what the backend did not take."""
        if not self.overfull:
            return None
        return next((message for message in self._memory if message.id == message_id), None)

    def relieve(self) -> None:
        """Try again to give the backend what it did not take."""
        surplus = [self._memory.pop() for _ in range(len(self._memory) - self._size)]
        surplus.reverse()
        try:
            self.put(surplus)
        except BackendFailed:
            self.keep(surplus)

    def store(self, others: Sequence[Message] = ()) -> int:
        """Everything in memory and `others` into the backend; how many could not be stored and are lost."""
        assert self._backend is not None
        messages = [*self._memory, *others]
        self._memory.clear()
        lost = 0
        for start in range(0, len(messages), _BATCH):
            batch = messages[start : start + _BATCH]
            try:
                self._backend.put(batch)
            except BackendFailed:
                lost += len(batch)
        return lost

    def drop_surplus(self) -> None:
        """Without a backend, what memory cannot hold is gone (nsqd-tcp section 14)."""
        while len(self._memory) > self._size:
            self._memory.pop()

    def empty(self) -> None:
        """Drop everything."""
        self._memory.clear()
        if self._backend is not None:
            self._backend.empty()

    def delete(self) -> None:
        """Drop everything for good."""
        self._memory.clear()
        if self._backend is not None:
            self._backend.delete()
