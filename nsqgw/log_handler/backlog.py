"""Records on their way: new ones in memory, where adding never waits, older ones in the spool if need be.

Any thread adds; one thread, the one that delivers, does everything else. The order is kept: whatever is in
the spool is older than what is in memory, and `done` is always about the oldest.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from nsqgw.log_handler.complaint import complain
from nsqgw.log_handler.spool import Spool

_OVERHEAD = 128
"""Bytes of memory counted for a record besides its body."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits: records and bytes in memory, since when (monotonic seconds), whether to send at once."""

    count: int
    size: int
    since: float
    urgent: bool


class Backlog:
    """At most `max_bytes` in memory; what does not fit is dropped, counted, and said in a record.

    `tell_dropped(count)` makes that record; it gets its place where the others are missing.
    """

    def __init__(
        self,
        max_bytes: int,
        tell_dropped: Callable[[int], bytes],
        spool: Spool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dropped = 0
        self.confirmed = 0
        self.spooled = 0
        """Bytes in the spool that are not confirmed."""
        self.half = (max_bytes + 1) // 2
        self._max_bytes = max_bytes
        self._tell_dropped = tell_dropped
        self._spool = spool
        self._clock = clock
        # Never the handler's own lock: logging.shutdown holds that one while it waits for `wait_left`.
        self._left = threading.Condition()
        self._memory: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._added = 0
        self._urgent_up_to = 0
        self._untold = 0
        self._spool_failed = False

    # -- for any thread

    def add(self, body: bytes) -> tuple[int, int, int]:
        """Take a record, or drop it; records and bytes in memory then, and by how many bytes that grew."""
        size = len(body) + _OVERHEAD
        with self._left:
            if self._size + size > self._max_bytes:
                self._drop(1)
                size = 0
            else:
                self._put(body)
            return len(self._memory), self._size, size

    def drop(self, count: int) -> None:
        """So many records are lost for another reason."""
        with self._left:
            self._drop(count)

    def hurry(self) -> int:
        """Let all that is in memory now go at once; the mark to give to `wait_left`."""
        with self._left:
            self._urgent_up_to = self._added
            return self._added

    def wait_left(self, mark: int, timeout: float) -> bool:
        """Whether, within `timeout` seconds, all up to `mark` has left memory: confirmed, or in the spool."""
        with self._left:
            return self._left.wait_for(lambda: self._added - len(self._memory) >= mark, timeout)

    @property
    def count(self) -> int:
        """Records in memory."""
        return len(self._memory)

    # -- for the thread that delivers

    def use_spool(self, spool: Spool | None) -> None:
        """From now on there is this spool."""
        self._spool = spool
        self._measure()

    def leave_spool(self) -> None:
        """From now on there is none; its records stay in it."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def waiting(self) -> Waiting:
        """What the batching policy goes by."""
        with self._left:
            left = self._added - len(self._memory)
            since = self._memory[0][0] if self._memory else 0.0
            urgent = bool(self._memory) and left < self._urgent_up_to
            return Waiting(len(self._memory), self._size, since, urgent or self.spooled > 0)

    @property
    def half_full(self) -> bool:
        """Whether memory is half full: time to spool."""
        return self._size >= self.half

    def peek(self, max_messages: int, max_bytes: int) -> list[bytes]:
        """The oldest records, one at least when there are any."""
        if self._spool is not None:
            bodies = self._spool.peek(max_messages, max_bytes)
            self._measure()
            if bodies:
                return bodies
        with self._left:
            oldest = [body for _, body in islice(self._memory, max_messages)]
        total = 0
        for count, body in enumerate(oldest):
            total += len(body) + 4  # as in MPUB
            if count and total > max_bytes:
                return oldest[:count]
        return oldest

    def done(self, bodies: Sequence[bytes]) -> None:
        """The oldest records, these, are confirmed; since `peek` they may have moved to the spool."""
        self._remove(bodies)
        self.confirmed += len(bodies)

    def refused(self, body: bytes) -> None:
        """nsqd will never take the oldest record, this one."""
        self.drop(1)
        self._remove([body])

    def spool_all(self) -> None:
        """Move what is in memory to the spool, as far as there is one and it has room."""
        if self._spool is None:
            return
        with self._left:
            bodies = [body for _, body in self._memory]
        try:
            moved = self._spool.append(bodies)
        except OSError as error:
            self.tell_spool_failed(error)
        else:
            self._spool_failed = False
            self._measure()
            self._forget(moved)

    def close(self) -> None:
        """Save what can be saved; what cannot is lost, and said."""
        with self._left:
            untold, self._untold = self._untold, 0
        self.spool_all()
        with self._left:
            lost = len(self._memory)
            self.dropped += lost
            self._memory.clear()
            self._left.notify_all()
        if lost:
            complain(f"{lost} records were not published and are lost: nsqd did not take them in time")
        if self._spool is not None:
            if untold + lost:
                try:
                    self._spool.append_anyway(self._tell_dropped(untold + lost))
                except OSError as error:
                    self.tell_spool_failed(error)
            self.leave_spool()

    def tell_spool_failed(self, error: OSError) -> None:
        """The spool cannot be used at the moment."""
        if not self._spool_failed:  # once, not with each try
            complain(f"the spool cannot be used: {error}")
        self._spool_failed = True

    def _remove(self, bodies: Sequence[bytes]) -> None:
        spooled = self._spool.done(bodies) if self._spool is not None else 0
        self._measure()
        self._forget(len(bodies) - spooled)

    def _measure(self) -> None:
        # Kept as a number, since other threads read it.
        self.spooled = self._spool.pending if self._spool is not None else 0

    def _forget(self, count: int) -> None:
        """The oldest `count` records in memory are confirmed or spooled."""
        with self._left:
            for _ in range(count):
                self._size -= len(self._memory.popleft()[1]) + _OVERHEAD
            if self._untold and not self.half_full:
                self._put(self._tell_dropped(self._untold))
                self._untold = 0
            self._left.notify_all()

    def _put(self, body: bytes) -> None:
        self._memory.append((self._clock(), body))
        self._size += len(body) + _OVERHEAD
        self._added += 1

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._untold += count
