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
        self._ids: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._heap)

    def __contains__(self, message_id: bytes) -> bool:
        return message_id in self._ids

    def put(self, message: Message, due: float) -> None:
        """Hold `message` until the clock reads `due`."""
        heapq.heappush(self._heap, (due, next(self._arrivals), message))
        self._ids.add(message.id)

    def take_due(self, now: float) -> list[Message]:
        """Remove and return what is due, the longest due first."""
        due: list[Message] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        self._ids.difference_update(message.id for message in due)
        return due

    def messages(self) -> list[Message]:
        """All of them, the longest due first."""
        return [message for _, _, message in sorted(self._heap)]

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        self._ids.clear()
