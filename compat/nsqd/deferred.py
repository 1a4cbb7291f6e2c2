"""The messages of a channel that wait for their time: REQ with a delay, DPUB, HTTP's defer."""

from __future__ import annotations

import heapq
import itertools

from compat.nsqd.message import Message


class Deferred:
    """Messages ordered by the time they are due; equal times keep their order of arrival."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Message]] = []
        self._arrivals = itertools.count()
        self._messages: dict[bytes, Message] = {}

    def __len__(self) -> int:
        return len(self._heap)

    def find(self, message_id: bytes) -> Message | None:
        """The message of that id, if it is deferred."""
        return self._messages.get(message_id)

    def put(self, message: Message, due: float) -> None:
        """Hold `message` until the clock reads `due`."""
        heapq.heappush(self._heap, (due, next(self._arrivals), message))
        self._messages[message.id] = message

    def take_due(self, now: float) -> list[Message]:
        """Remove and return what is due, the longest due first."""
        due: list[Message] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        for message in due:
            self._messages.pop(message.id, None)
        return due

    def messages(self) -> list[Message]:
        """All of them, the longest due first."""
        return [message for _, _, message in sorted(self._heap)]

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        self._messages.clear()
