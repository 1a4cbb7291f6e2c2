"""How many messages a reader takes at once: its `ready_count`, shared over its connections.

RDY is a ceiling that nsqd never counts down: each connection is told its share, and again when that changes.
"""

from __future__ import annotations

import asyncio

from compat.perl.connection import Connection
from nsqgw.consumer.rdy import RdyAllocator

_ROTATE_EVERY = 5.0


class SharedRdy:
    """Tells connections their RDY; with more connections than messages to share, it goes round.

    Without a count it is a tenth of what the first nsqd to answer allows a connection.
    """

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._allocator: RdyAllocator[Connection] = RdyAllocator(count or 0)
        self._members = 0
        self._rotation: asyncio.TimerHandle | None = None

    def add(self, connection: Connection, ceiling: int) -> None:
        """It is subscribed; its nsqd takes no RDY above `ceiling`."""
        loop = asyncio.get_running_loop()
        if self._count is None:
            self.set_count(max(1, ceiling // 10))
        self._members += 1
        _send(self._allocator.add(connection, ceiling, loop.time()))
        if self._rotation is None:
            self._rotation = loop.call_later(_ROTATE_EVERY, self._rotate)

    def remove(self, connection: Connection) -> None:
        """It is gone; the others take over."""
        self._members -= 1
        _send(self._allocator.remove(connection, asyncio.get_running_loop().time()))
        if self._members == 0 and self._rotation is not None:
            self._rotation.cancel()
            self._rotation = None

    def heard(self, connection: Connection) -> None:
        """Messages came by it."""
        self._allocator.heard(connection, asyncio.get_running_loop().time())

    def set_count(self, count: int) -> None:
        """So many messages at once from now on, over all connections; 0 stops deliveries."""
        self._count = count
        if self._members:
            _send(self._allocator.set_limit(count, asyncio.get_running_loop().time()))
        else:
            self._allocator.set_limit(count, 0.0)

    def _rotate(self) -> None:
        loop = asyncio.get_running_loop()
        self._rotation = loop.call_later(_ROTATE_EVERY, self._rotate)
        _send(self._allocator.rotate(loop.time()))


def _send(changes: list[tuple[Connection, int]]) -> None:
    for connection, rdy in changes:
        if connection.connected:
            connection.ready(rdy)
