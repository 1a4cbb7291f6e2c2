"""One process's part of a spool: a directory of append-only segment files that it has locked.

    00000001.spool   records, one after the other: length of the body (4 bytes, big-endian), CRC-32 of the
                     body (4 bytes, big-endian), body. A new file is begun when one is large enough, and by
                     each process; the oldest is deleted once its records are confirmed.
    position         a line: number of the oldest segment, bytes of it that are confirmed
    lock             flock'ed by the process that uses the directory

A record cut short by a crash, or damaged, ends its segment: what stands behind it is not read. Nothing is
synced, so that a crash of the process loses nothing that was appended, and a loss of power may.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import zlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from nsqgw.log_handler.complaint import complain

_head = struct.Struct(">II")
_SEGMENT = re.compile(r"(\d{8,})\.spool", re.ASCII)
_POSITION = re.compile(rb"(\d{8,}) (\d{12,})\n", re.ASCII)


def record_size(body: bytes) -> int:
    """Bytes that `body` takes in a segment."""
    return _head.size + len(body)


class _Segment:
    def __init__(self, path: Path, number: int, size: int) -> None:
        self.path = path
        self.number = number
        self.size = size


class Slot:
    """Records in order; made by `lock`, for the use of one thread."""

    def __init__(self, path: Path, lock: int, segment_size: int) -> None:
        self.path = path
        self._segment_size = segment_size
        self._position = os.open(path / "position", os.O_RDWR | os.O_CREAT, 0o600)
        self._descriptors = [self._position, lock]
        self._file: BinaryIO | None = None
        found = sorted(
            (int(name[1]), entry) for entry in path.iterdir() if (name := _SEGMENT.fullmatch(entry.name))
        )
        self._segments = deque(_Segment(entry, number, entry.stat().st_size) for number, entry in found)
        kept = _POSITION.fullmatch(os.pread(self._position, 100, 0))
        number, offset = (int(kept[1]), int(kept[2])) if kept else (0, 0)
        self._next = max(number, *(segment.number for segment in self._segments), 0) + 1
        self._done = offset if self._segments and self._segments[0].number == number else 0

    @classmethod
    def lock(cls, path: Path, segment_size: int) -> Slot | None:
        """The slot in directory `path`; None while another process has it. OSError when it cannot be used."""
        path.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(path, lock, segment_size)
        except BlockingIOError:
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise

    @property
    def size(self) -> int:
        """Bytes of all segments, what is confirmed of the oldest included."""
        return sum(segment.size for segment in self._segments)

    @property
    def pending(self) -> int:
        """Bytes that are not confirmed yet; some of them may turn out to be damaged."""
        return max(0, self.size - self._done)

    def append(self, bodies: Iterable[bytes]) -> None:
        """Add records behind all others. After an OSError none of them counts as added."""
        data = b"".join(_head.pack(len(body), zlib.crc32(body)) + body for body in bodies)
        if self._file is None or self._segments[-1].size >= self._segment_size:
            self._begin_segment()
        assert self._file is not None
        segment = self._segments[-1]
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._give_up(segment)
            raise
        segment.size += len(data)

    def peek(self, max_messages: int, max_bytes: int) -> list[bytes]:
        """The oldest records, one at least when there are any; nothing is taken away."""
        while self._segments:
            segment = self._segments[0]
            bodies = _read(segment.path, self._done, segment.size, max_messages, max_bytes)
            if bodies:
                return bodies
            if self._done < segment.size:
                rest = segment.size - self._done
                complain(f"{segment.path}: the last {rest} bytes are no whole record, as after a crash")
            self._delete_oldest()
        return []

    def done(self, size: int) -> None:
        """The oldest records, `size` bytes together, are confirmed."""
        self._done += size
        while self._segments and self._done >= self._segments[0].size:
            rest = self._done - self._segments[0].size
            self._delete_oldest()
            self._done = rest
        if self._segments:
            position = b"%08d %012d\n" % (self._segments[0].number, self._done)
            with contextlib.suppress(OSError):  # a full disk; at worst, records come twice after a restart
                os.pwrite(self._position, position, 0)

    def close(self) -> None:
        """Let another process have it; calling it again does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _begin_segment(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        path = self.path / f"{self._next:08d}.spool"
        # Unbuffered: what is written survives the process. Never one that exists: its end may be torn.
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
        self._segments.append(_Segment(path, self._next, 0))
        self._next += 1

    def _give_up(self, segment: _Segment) -> None:
        """After a failed write: what arrived of it must not be read, and the next goes to a new file."""
        assert self._file is not None
        file, self._file = self._file, None
        try:
            file.truncate(segment.size)
        finally:
            file.close()

    def _delete_oldest(self) -> None:
        segment = self._segments.popleft()
        if not self._segments and self._file is not None:
            self._file.close()
            self._file = None
        self._done = 0
        segment.path.unlink(missing_ok=True)


def _read(path: Path, start: int, end: int, max_messages: int, max_bytes: int) -> list[bytes]:
    """Whole records from `start` on, up to the first damaged one; none when somebody removed the file."""
    bodies: list[bytes] = []
    if not path.exists():
        return bodies
    total = 0
    with path.open("rb") as file:
        file.seek(start)
        while len(bodies) < max_messages:
            head = file.read(_head.size)
            if len(head) < _head.size:
                break
            length, checksum = _head.unpack(head)
            total += length + 4  # as in MPUB
            if start + _head.size + length > end or (bodies and total > max_bytes):
                break
            body = file.read(length)
            if len(body) < length or zlib.crc32(body) != checksum:
                break
            bodies.append(body)
            start += _head.size + length
    return bodies
