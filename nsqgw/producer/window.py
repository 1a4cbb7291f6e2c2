"""How much may be published without an answer: a window of messages and bytes with a fair queue before it."""

from __future__ import annotations

import asyncio
from collections import deque


class Window:
    """At most `max_count` messages and `max_bytes` bytes are inside; a larger batch enters alone."""

    __slots__ = ("_bytes", "_emptied", "_max_bytes", "_max_count", "_waiting", "count")

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._bytes = 0
        self._waiting: deque[tuple[int, int, asyncio.Future[None]]] = deque()
        self._emptied: asyncio.Event | None = None
        self.count = 0

    def try_enter(self, size: int, count: int = 1) -> bool:
        """Enter with `count` messages of `size` bytes together, if there is room and nobody waits."""
        inside, total = self.count, self._bytes + size
        if self._waiting or (inside and (inside + count > self._max_count or total > self._max_bytes)):
            return False
        self.count = inside + count
        self._bytes = total
        return True

    async def enter(self, size: int, count: int = 1) -> None:
        """Enter, in the order of asking."""
        if self.try_enter(size, count):
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (size, count, admitted)
        self._waiting.append(entry)
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self.leave(size, count)
            elif entry in self._waiting:
                self._waiting.remove(entry)
                self._admit()
            raise

    def leave(self, size: int, count: int = 1) -> None:
        """Make room."""
        self.count -= count
        self._bytes -= size
        if self._waiting:
            self._admit()
        if not self.count and self._emptied is not None:
            self._emptied.set()

    async def wait_empty(self) -> None:
        """Until nothing is inside and nobody waits."""
        while self.count or self._waiting:
            if self._emptied is None:
                self._emptied = asyncio.Event()
            self._emptied.clear()
            await self._emptied.wait()

    def _admit(self) -> None:
        while self._waiting:
            size, count, admitted = self._waiting[0]
            if self.count and (self.count + count > self._max_count or self._bytes + size > self._max_bytes):
                return
            self._waiting.popleft()
            if not admitted.done():
                self.count += count
                self._bytes += size
                admitted.set_result(None)
