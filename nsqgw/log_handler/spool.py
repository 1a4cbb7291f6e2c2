"""A directory in which records wait while nsqd is away: bounded, in order, outliving the process.

Several processes may share it: each has a numbered slot of its own, a directory (see spool_slot.py), and a
new process takes over the slots that nobody uses any more, with all that is left in them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from nsqgw.log_handler.spool_slot import Slot, record_size

_SEGMENTS = 16
"""Into so many files the bound is split: space comes back one file at a time."""


class Spool:
    """At most `max_bytes` of this process's records; for the use of one thread. OSError as from files."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        segment_size = max(1, max_bytes // _SEGMENTS)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._own = _first_free(directory, segment_size)
        self._slots = [*_abandoned(directory, segment_size, self._own), self._own]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(slot.size for slot in self._slots)

    @property
    def pending(self) -> int:
        """Bytes not confirmed yet."""
        return sum(slot.pending for slot in self._slots)

    def append(self, bodies: Sequence[bytes]) -> int:
        """Add as many of the records as there is room for; how many that were."""
        room = self._max_bytes - self.size
        fitting = 0
        for body in bodies:
            room -= record_size(body)
            if room < 0:
                break
            fitting += 1
        if fitting:
            self._own.append(bodies[:fitting])
        return fitting

    def append_anyway(self, body: bytes) -> None:
        """Add one record without regard to the bound."""
        self._own.append([body])

    def peek(self, max_messages: int, max_bytes: int) -> list[bytes]:
        """The oldest records, one at least when there are any; nothing is taken away."""
        while True:
            bodies = self._slots[0].peek(max_messages, max_bytes)
            if bodies or self._slots[0] is self._own:
                return bodies
            self._slots.pop(0).close()

    def done(self, bodies: Sequence[bytes]) -> int:
        """The oldest records, these, are confirmed; how many of them were in here."""
        slot = self._slots[0]
        size = count = 0
        for body in bodies:
            if size + record_size(body) > slot.pending:
                break
            size += record_size(body)
            count += 1
        if count:
            slot.done(size)
        return count

    def close(self) -> None:
        """Leave the records to the next process."""
        for slot in self._slots:
            slot.close()


def _first_free(directory: Path, segment_size: int) -> Slot:
    """The first slot nobody uses."""
    for number in itertools.count():
        if slot := Slot.lock(directory / str(number), segment_size):
            return slot
    raise AssertionError


def _abandoned(directory: Path, segment_size: int, own: Slot) -> list[Slot]:
    """The slots of processes that are gone, as far as there is anything in them."""
    slots = []
    for path in sorted(directory.iterdir()):
        if path.name.isdecimal() and path != own.path and (slot := Slot.lock(path, segment_size)):
            if slot.pending:
                slots.append(slot)
            else:
                slot.close()
    return slots
