"""What was read from a disk queue and is not finished yet: from where a restart would have to read again.

nsqd forgets a message on disk when it hands it out, so kill -9 loses what is in flight. Here the read
position that is stored stays at the first message still in flight or deferred; a crash brings messages
twice, never none. Who finishes a message pays nothing for it: we ask when the answer is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from compat.nsqd.disk_queue_meta import Position
from compat.nsqd.disk_record import record_size
from compat.nsqd.message import Message

_COMPACT_AT = 10_000


class _Read(NamedTuple):
    number: int
    message_id: bytes
    position: Position


class Unfinished:
    """`holds(id)` says whether a message is in flight or deferred; None: messages are done once read.

    A message that is read twice, because it was requeued, counts from its second place: to write it there
    ended the first.
    """

    def __init__(self, holds: Callable[[bytes], bool] | None) -> None:
        self._holds = holds
        self._reads: deque[_Read] = deque()
        self._latest: dict[bytes, int] = {}
        self._count = 0
        self._compact_at = _COMPACT_AT

    def add(self, messages: Iterable[Message], position: Position) -> None:
        """The messages were read, one after the other from `position` on."""
        if self._holds is None:
            return
        file, offset = position
        for message in messages:
            self._reads.append(_Read(self._count, message.id, Position(file, offset)))
            self._latest[message.id] = self._count
            self._count += 1
            offset += record_size(message)
        if len(self._reads) >= self._compact_at:
            self._compact()

    def first(self) -> tuple[int, Position] | None:
        """The first message that is not finished: how many were read from it on, and where it stands."""
        while self._reads:
            read = self._reads[0]
            if self._is_held(read):
                return self._count - read.number, read.position
            self._reads.popleft()
        return None

    def clear(self) -> None:
        """Forget everything."""
        self._reads.clear()
        self._latest.clear()

    def _is_held(self, read: _Read) -> bool:
        if self._latest.get(read.message_id) != read.number:
            return False
        assert self._holds is not None
        if self._holds(read.message_id):
            return True
        del self._latest[read.message_id]
        return False

    def _compact(self) -> None:
        """One message that stays for long must not keep the finished ones behind it in memory."""
        self._reads = deque(filter(self._is_held, self._reads))
        self._compact_at = max(_COMPACT_AT, 2 * len(self._reads))
