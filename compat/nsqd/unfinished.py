"""What was read from a disk queue and is not finished yet: from where a restart would have to read again.

nsqd forgets a message on disk when it hands it out, so kill -9 loses what is in flight. Here the read
position that is stored stays at the first message still in flight or deferred; a crash brings messages
twice, never none. Who finishes a message pays nothing for it: we ask when the answer is needed.

One message that stays for an hour must not bring back that hour. Stragglers, with many messages read behind
them, are stored apart, and the position moves on; so are deferred messages that were never on disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from compat.nsqd.disk_queue_meta import Position
from compat.nsqd.disk_record import record_size
from compat.nsqd.message import Message

COMPACT_AT = 10_000
"""Messages read, and perhaps finished, before the finished ones among them are forgotten."""

LAG = 1000
"""Messages that may have been read behind one that is not finished before it is a straggler."""

Find = Callable[[bytes], Message | None]


_Read = tuple[int, bytes, int, int]
"""How many were read before, id, and where it stands: file and offset. Bare, as there is one a message."""


@dataclass(frozen=True)
class Apart:
    """Messages for the file of those stored apart: all that are to be in it, or more for its end.

    Without any the file goes.
    """

    messages: Sequence[Message]
    replace: bool


class Unfinished:
    """`find(id)` is the message if it is in flight or deferred; None: messages are done once read.

    A message that is read twice, because it was requeued, counts from its second place: to write it there
    ended the first.
    """

    def __init__(self, find: Find | None) -> None:
        self._find = find
        self._reads: deque[_Read] = deque()
        self._latest: dict[bytes, int] = {}
        self._count = 0
        self._compact_at = COMPACT_AT
        self._apart: list[bytes] = []
        self._next_apart: list[bytes] = []
        self._rewrite_at = LAG

    def add(self, messages: Iterable[Message], position: Position) -> None:
        """The messages were read, one after the other from `position` on."""
        if self._find is None:
            return
        file, offset = position
        append, latest, count = self._reads.append, self._latest, self._count
        for message in messages:
            append((count, message.id, file, offset))
            latest[message.id] = count
            count += 1
            offset += record_size(message)
        self._count = count
        if len(self._reads) >= self._compact_at:
            self._compact()

    def keep(self, message: Message) -> None:
        """The message stands nowhere on disk."""
        self._next_apart.append(message.id)

    def __bool__(self) -> bool:
        return bool(self._apart or self._next_apart) or self.first() is not None

    def first(self) -> tuple[int, Position] | None:
        """The first message that is not finished: how many were read from it on, and where it stands."""
        while self._reads:
            read = self._reads[0]
            if self._held(read) is not None:
                number, _, file, offset = read
                return self._count - number, Position(file, offset)
            self._reads.popleft()
        return None

    def store_apart(self) -> Apart | None:
        """What is to be stored apart now; None when nothing has changed. `first` begins behind stragglers."""
        first = self.first()
        if first is not None and first[0] > LAG:
            self._next_apart += [read[1] for read in self._reads if self._held(read) is not None]
            self._reads.clear()
            self._latest.clear()
        new = self._found(self._next_apart)
        self._next_apart = []
        if len(self._apart) + len(new) > self._rewrite_at:
            found = self._found(self._apart) + new
            self._apart = [message.id for message in found]
            self._rewrite_at = max(LAG, 2 * len(found))
            return Apart(found, replace=True)
        if new:
            self._apart += [message.id for message in new]
            return Apart(new, replace=False)
        if self._apart and not any(map(self._find_it, self._apart)):
            self._apart = []
            return Apart((), replace=True)
        return None

    def rewrite(self) -> None:
        """What is stored apart could not be written: next time as a whole."""
        self._rewrite_at = -1

    def clear(self) -> None:
        """Forget everything."""
        self._reads.clear()
        self._latest.clear()
        self._apart.clear()
        self._next_apart.clear()

    def _found(self, message_ids: Iterable[bytes]) -> list[Message]:
        return [message for each in message_ids if (message := self._find_it(each)) is not None]

    def _held(self, read: _Read) -> Message | None:
        number, message_id, _, _ = read
        if self._latest.get(message_id) != number:
            return None
        message = self._find_it(message_id)
        if message is None:
            del self._latest[message_id]
        return message

    def _find_it(self, message_id: bytes) -> Message | None:
        assert self._find is not None
        return self._find(message_id)

    def _compact(self) -> None:
        """One message that stays for long must not keep the finished ones behind it in memory."""
        self._reads = deque(read for read in self._reads if self._held(read) is not None)
        self._compact_at = max(COMPACT_AT, 2 * len(self._reads))
