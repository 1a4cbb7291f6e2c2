"""What waits for one browser that does not take its messages now, and what happens when it gets too much.

A backlog is pure: bytes and a clock reading in, decisions out. It holds references to the shared bytes of a
burst, never copies. There is one policy so far, `Disconnect`; the burst comes along with its bytes so that
a policy which drops or merges single frames finds them.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from gateways.push.frame import Burst


class Backlog(Protocol):
    """The queue of one browser. Times are readings of the event loop's clock, in seconds."""

    size: int
    """Bytes that wait."""

    def add(self, data: bytes, burst: Burst, now: float) -> bool:
        """Queue `data`, the burst as this browser gets it; False when the browser has to go instead."""
        ...

    def stall(self, now: float) -> None:
        """The transport takes nothing more from `now` on, until it has written what it holds."""
        ...

    def overdue(self, now: float) -> bool:
        """Whether what waits, in here or in the transport, has waited too long: the browser has to go."""
        ...

    def take(self) -> bytes | None:
        """The next bytes to write, or None when nothing waits."""
        ...


class Disconnect:
    """Close a browser that lags: more than `max_bytes` wait, or the oldest for over `max_age` seconds.

    The oldest may be what the transport holds: what it took just before it stalled, though nothing follows.
    """

    __slots__ = ("_max_age", "_max_bytes", "_stalled_at", "_waiting", "size")

    def __init__(self, max_bytes: int, max_age: float) -> None:
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._stalled_at = math.inf
        self._waiting: deque[tuple[float, bytes]] = deque()
        self.size = 0

    def add(self, data: bytes, burst: Burst, now: float) -> bool:
        if self.size + len(data) > self._max_bytes or self.overdue(now):
            return False
        self._waiting.append((now, data))
        self.size += len(data)
        return True

    def stall(self, now: float) -> None:
        self._stalled_at = now

    def overdue(self, now: float) -> bool:
        oldest = self._waiting[0][0] if self._waiting else math.inf
        return now - min(oldest, self._stalled_at) > self._max_age

    def take(self) -> bytes | None:
        if not self._waiting:
            return None
        _, data = self._waiting.popleft()
        self.size -= len(data)
        return data
