"""The data files of a disk queue: their names, reading records from one, writing bytes into one."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compat.nsqd.disk_record import HEAD, LENGTH, DamagedRecord, count_records, decode_records
from compat.nsqd.message import Message

logger = logging.getLogger(__name__)

FILE_MODE = 0o600
READ_SIZE = 128 * 1024


@dataclass
class SegmentFiles:
    """The files of the queue `name`; `numbers` are those of the data files there are."""

    folder: Path
    name: str
    numbers: set[int] = field(default_factory=set)

    @property
    def meta(self) -> Path:
        return self.folder / f"{self.name}.diskqueue.meta.dat"

    @property
    def apart(self) -> Path:
        """Messages in flight or deferred whose place in the data files was passed long ago; only ours."""
        return self.folder / f"{self.name}.diskqueue.unfinished.dat"

    def path(self, number: int) -> Path:
        """The data file of that number."""
        return self.folder / f"{self.name}.diskqueue.{number:06d}.dat"

    def after(self, number: int, last: int) -> int:
        """The next data file that exists, or `last` when there is none before it."""
        return min((each for each in self.numbers if number < each < last), default=last)

    def sizes(self) -> dict[int, int]:
        """Size by number; who is not there any more is forgotten."""
        sizes: dict[int, int] = {}
        for number in list(self.numbers):
            try:
                sizes[number] = self.path(number).stat().st_size
            except FileNotFoundError:
                self.numbers.discard(number)
        return sizes

    def remove(self, path: Path) -> None:
        """Remove one of them; that it cannot be removed is for the log."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            logger.error("DISKQUEUE(%s): failed to remove %s - %s", self.name, path, error)

    def set_aside(self, number: int) -> None:
        """Keep a damaged file for who wants to look at it, out of the way."""
        self.numbers.discard(number)
        path = self.path(number)
        path.replace(f"{path}.bad")

    def count_records(self, number: int, offset: int, largest: int) -> int:
        """How many messages can be read from `offset` on."""
        try:
            return count_records(self.path(number).read_bytes(), offset, largest)
        except OSError as error:
            logger.error("DISKQUEUE(%s): failed to count - %s", self.name, error)
            return 0


class SegmentReader:
    """Reads one file from `offset` on. Raises OSError and DamagedRecord."""

    def __init__(self, path: Path, offset: int, largest: int) -> None:
        self.offset = offset
        self._largest = largest
        self._fd = os.open(path, os.O_RDONLY)
        self._data = b""
        self._at = 0

    @property
    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def read(self, count: int, max_bytes: int, limit: int) -> list[Message]:
        """The next messages; none at `limit`, where the file's valid bytes end."""
        messages = self._decode(count, max_bytes)
        if not messages and self.offset < limit:
            self._fill(limit)
            messages = self._decode(count, max_bytes)
            if not messages:
                raise DamagedRecord(f"record cut short: {limit - self.offset} bytes left")
        return messages

    def close(self) -> None:
        os.close(self._fd)

    def _decode(self, count: int, max_bytes: int) -> list[Message]:
        messages, after = decode_records(self._data, self._at, count, max_bytes, self._largest)
        self.offset += after - self._at
        self._at = after
        return messages

    def _fill(self, limit: int) -> None:
        """Read on from `offset`: one piece, or one record that is larger than that."""
        left = limit - self.offset
        self._data, self._at = os.pread(self._fd, min(left, READ_SIZE), self.offset), 0
        if len(self._data) >= HEAD.size:
            needed = LENGTH.size + LENGTH.unpack_from(self._data)[0]
            if READ_SIZE < needed <= min(left, LENGTH.size + self._largest):
                self._data = os.pread(self._fd, needed, self.offset)


class SegmentWriter:
    """Writes into one file at offsets that are given, so that what failed half-way is written over.

    `written` says whether there is something to sync.
    """

    def __init__(self, path: Path) -> None:
        self.written = True  # the file itself, if nothing else
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE)

    def write(self, records: Sequence[bytes], offset: int) -> None:
        """All of `records`, in one call to the system unless it takes less than asked for."""
        self.written = True
        data = memoryview(b"".join(records))
        while data:
            written = os.pwrite(self._fd, data, offset)
            offset += written
            data = data[written:]

    def take_written(self) -> int:
        """A descriptor to sync in another thread, which closes it; this one goes on."""
        descriptor = os.dup(self._fd)
        self.written = False
        return descriptor

    def release(self) -> int:
        """The descriptor itself, in place of closing."""
        return self._fd
