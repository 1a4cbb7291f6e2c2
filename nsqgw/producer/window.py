"""How much may be published without an answer: a window of messages and bytes, and as much again in line."""

from __future__ import annotations

import asyncio


class Window:
    """At most `max_count` messages and `max_bytes` bytes are inside; a larger batch enters alone.

    What finds no room stands in line. `line_full` says when the line holds as much as the window may; who
    joins nevertheless is let in all the same, in turn.
    """

    __slots__ = (
        "_bytes",
        "_emptied",
        "_line_bytes",
        "_line_count",
        "_max_bytes",
        "_max_count",
        "count",
        "line_full",
    )

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._bytes = 0
        self._line_count = 0
        self._line_bytes = 0
        self._emptied = asyncio.Event()
        self.count = 0
        self.line_full = False

    def try_enter(self, size: int, count: int = 1) -> bool:
        """Enter with `count` messages of `size` bytes together, if there is room and nobody is in line."""
        inside, total = self.count + count, self._bytes + size
        if (inside <= self._max_count and total <= self._max_bytes) or inside == count:
            if self._line_count:
                return False
            self.count = inside
            self._bytes = total
            return True
        return False

    def join_line(self, size: int, count: int = 1) -> None:
        """Stand in line."""
        self._change_line(size, count)

    def leave_line(self, size: int, count: int = 1) -> None:
        """Give up."""
        self._change_line(-size, -count)

    def admit(self, size: int, count: int = 1) -> bool:
        """Whether the first in line, who is so large, may enter now."""
        if self.count and (self.count + count > self._max_count or self._bytes + size > self._max_bytes):
            return False
        self.count += count
        self._bytes += size
        self._change_line(-size, -count)
        return True

    def leave(self, size: int, count: int = 1) -> None:
        """Make room."""
        self.count -= count
        self._bytes -= size
        if not self.count:
            self._emptied.set()

    async def wait_empty(self) -> None:
        """Until nothing is inside or in line."""
        while self.count or self._line_count:
            self._emptied.clear()
            await self._emptied.wait()

    def _change_line(self, size: int, count: int) -> None:
        self._line_count += count
        self._line_bytes += size
        self.line_full = self._line_count >= self._max_count or self._line_bytes >= self._max_bytes
        if not self._line_count:
            self._emptied.set()
