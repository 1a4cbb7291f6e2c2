"""A queue of messages on disk, in go-diskqueue's files (nsqd-behaviour section 2).

Written on the event loop, one write a batch: that ends in the page cache and seldom waits. What does wait,
fsync and the meta file, is handed out as a SyncJob and carried out in a thread (see disk_sync).
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from compat.nsqd.backend import BackendFailed
from compat.nsqd.disk_queue_meta import FRESH, Meta, Position, parse_meta, recover
from compat.nsqd.disk_record import SMALLEST_LENGTH, DamagedRecord, decode_records, encode_records
from compat.nsqd.disk_segment import SegmentFiles, SegmentReader, SegmentWriter
from compat.nsqd.disk_sync_job import SyncJob
from compat.nsqd.message import Message
from compat.nsqd.unfinished import Find, Unfinished

logger = logging.getLogger(__name__)

_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors on reading that say nothing about the file: it is tried again."""


@dataclass(frozen=True)
class DiskLimits:
    """max-bytes-per-file, and max-msg-size: a record beyond it is damage. Bytes."""

    max_bytes_per_file: int
    max_msg_size: int


class Watcher(Protocol):
    """Who sees to it that queues are synced."""

    def touched(self, queue: DiskQueue, urgent: bool) -> None:
        """There is something to sync; `urgent`: a file is complete, written or read."""

    def stored(self, reason: str) -> None:
        """A write ended: why it failed, or "" when it did not."""


class DiskQueue:
    """A Backend. What the files hold is there from the start; the first message written makes the first file.

    `operations` counts reads and writes since the last sync. `find(id)` is a message that was read and is in
    flight or deferred; without it a message is done with when it is read.
    """

    def __init__(
        self,
        files: SegmentFiles,
        limits: DiskLimits,
        watcher: Watcher,
        find: Find | None = None,
    ) -> None:
        self.operations = 0
        self._files = files
        self._limits = limits
        self._largest = SMALLEST_LENGTH + limits.max_msg_size
        self._watcher = watcher
        self._unfinished = Unfinished(find)
        self._reader: SegmentReader | None = None
        self._writer: SegmentWriter | None = None
        self._unsynced: list[int] = []
        self._job: SyncJob | None = None
        self._removing: list[int] = []
        self._creates = False
        self._deleted = False
        self._stored, self._depth, self._read, self._write = self._load()
        self._first_file = self._read.file
        self._bring_back()

    @property
    def depth(self) -> int:
        """Messages to read. After a crash the count may be off, but 0 means that there is none."""
        return max(1, self._depth) if self._read < self._write else 0

    @property
    def settled(self) -> bool:
        """Whether everything that was read is finished, and the meta file says so."""
        if self._deleted:
            return True
        return not self._unfinished and self._stored == Meta(self._depth, self._read, self._write)

    def put(self, messages: Sequence[Message]) -> None:
        if self._deleted:
            return
        before = self._write
        try:
            self._append(encode_records(messages))
        except OSError as error:
            path = self._files.path(self._write.file)
            self._roll_back(before)
            reason = f"write {path}: {error.strerror}"
            logger.error("DISKQUEUE(%s): failed to write - %s", self._files.name, reason)
            self._watcher.stored(reason)
            raise BackendFailed(reason) from error
        self._depth += len(messages)
        self._count(len(messages), urgent=before.file != self._write.file)
        self._watcher.stored("")

    def get(self, count: int, max_bytes: int) -> list[Message]:
        messages: list[Message] = []
        file = self._read.file
        while not messages and self._read < self._write:
            try:
                messages = self._read_some(count, max_bytes)
            except OSError as error:
                if error.errno in _SHORTAGES:
                    logger.error("DISKQUEUE(%s): cannot read now - %s", self._files.name, error)
                    break
                self._skip_file(error)
            except DamagedRecord as error:
                self._skip_file(error)
        if self._read == self._write and self._depth != 0:
            logger.error("DISKQUEUE(%s): depth %d at tail, resetting 0", self._files.name, self._depth)
            self._depth = 0
        self._count(len(messages), urgent=file != self._read.file)
        return messages

    def delete(self) -> None:
        """Remove all files for good; what is put from now on is dropped."""
        self.empty()
        self._deleted = True

    def keep(self, message: Message) -> None:
        self._unfinished.keep(message)
        self._count(1, urgent=False)

    def empty(self) -> None:
        """Remove all files; the next message goes into a file with a new number."""
        self.close()
        if self._job is not None:
            self._job.lock.cancel()
        data = map(self._files.path, self._files.numbers)
        for path in (*data, self._files.meta, self._files.apart):
            self._files.remove(path)
        self._files.numbers.clear()
        self._stored = FRESH
        self._unfinished.clear()
        if self._write.offset:
            self._write = Position(self._write.file + 1, 0)
        self._read, self._first_file = self._write, self._write.file
        self._depth = self.operations = 0

    def close(self) -> None:
        """Close the files; what was not synced is for the operating system to store."""
        self._close_reader()
        self._close_writer()
        while self._unsynced:
            os.close(self._unsynced.pop())

    def sync_job(self) -> SyncJob | None:
        """All up to now as work for another thread, to be followed by `synced`; None when there is none."""
        if self._deleted:
            return None
        self.operations = 0
        if self._writer is not None and self._writer.written:
            self._unsynced.append(self._writer.take_written())
        apart = self._unfinished.store_apart()
        unread, first = self._unfinished.first() or (0, self._read)
        meta = Meta(self._depth + unread, first, self._write)
        if meta == self._stored and not self._unsynced and apart is None:
            return None
        fds, self._unsynced = self._unsynced, []
        numbers = self._files.numbers
        self._removing = [number for number in numbers if self._first_file <= number < first.file]
        numbers.difference_update(self._removing)
        self._job = SyncJob(
            self._files, fds, self._removing, meta.encode(), apart=apart, creates=self._creates
        )
        self._creates = False
        self._stored = meta
        return self._job

    def synced(self, error: OSError | None) -> None:
        """The round with the job is over; when it failed all of it is due again."""
        if error is not None and self._job is not None and not self._job.lock.cancelled:
            self._stored = None
            self._files.numbers.update(self._removing)
            self._creates = True
            self._unfinished.rewrite()
            if self._writer is not None:
                self._writer.written = True
        self._job = None

    def _load(self) -> tuple[Meta | None, int, Position, Position]:
        """What the meta file says, corrected by what the data files are like."""
        files = self._files
        meta = None
        try:
            meta = parse_meta(files.meta.read_bytes())
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.error("DISKQUEUE(%s): failed to read the meta file - %s", files.name, error)
        recovery = recover(meta, files.sizes())
        depth = recovery.meta.depth
        if recovery.reason:
            logger.warning("DISKQUEUE(%s): %s: skipping to a new file", files.name, recovery.reason)
        if (start := recovery.uncounted) is not None:
            for number in sorted(number for number in files.numbers if number >= start.file):
                offset = start.offset if number == start.file else 0
                depth += files.count_records(number, offset, self._largest)
        return meta or FRESH, depth, recovery.meta.read, recovery.meta.write

    def _bring_back(self) -> None:
        """After a crash: what was stored apart is in neither memory nor the data files."""
        try:
            data = self._files.apart.read_bytes()
            messages, _ = decode_records(data, 0, len(data), len(data), self._largest)
            if messages:
                self.put(messages)
            self._unfinished.rewrite()
        except FileNotFoundError:
            pass
        except (OSError, DamagedRecord, BackendFailed) as error:
            logger.error("DISKQUEUE(%s): left alone %s - %s", self._files.name, self._files.apart, error)

    def _append(self, records: Sequence[bytes]) -> None:
        """Write the records, in one piece unless they fill a file."""
        most = self._limits.max_bytes_per_file
        piece: list[bytes] = []
        end = self._write.offset
        for record in records:
            if end and end + len(record) > most:
                self._write_out(piece, end)
                self._start_file()
                piece, end = [], 0
            piece.append(record)
            end += len(record)
        self._write_out(piece, end)

    def _write_out(self, piece: Sequence[bytes], end: int) -> None:
        if not piece:
            return
        number, offset = self._write
        if self._writer is None:
            self._writer = SegmentWriter(self._files.path(number))
            self._files.numbers.add(number)
            self._creates = True
        self._writer.write(piece, offset)
        self._write = Position(number, end)

    def _start_file(self) -> None:
        self._close_writer()
        self._write = Position(self._write.file + 1, 0)

    def _roll_back(self, position: Position) -> None:
        """A write failed: nothing of its batch may stay, or it would be delivered though it was refused."""
        self._close_writer()
        self._write = position
        try:
            for number in [number for number in self._files.numbers if number > position.file]:
                self._files.path(number).unlink(missing_ok=True)
                self._files.numbers.discard(number)
            if position.file in self._files.numbers:
                os.truncate(self._files.path(position.file), position.offset)
        except OSError as error:
            # The next write goes over it; only a crash before that would bring it up.
            logger.error("DISKQUEUE(%s): failed to take a write back - %s", self._files.name, error)

    def _read_some(self, count: int, max_bytes: int) -> list[Message]:
        if self._reader is None:
            self._reader = SegmentReader(self._files.path(self._read.file), self._read.offset, self._largest)
        reader = self._reader
        complete = self._read.file < self._write.file
        limit = reader.size if complete else self._write.offset
        messages = reader.read(count, max_bytes, limit)
        self._unfinished.add(messages, self._read)
        self._depth -= len(messages)
        self._read = Position(self._read.file, reader.offset)
        if complete and reader.offset >= limit:
            self._next_file()
        return messages

    def _next_file(self) -> None:
        self._close_reader()
        self._read = Position(self._files.after(self._read.file, self._write.file), 0)

    def _skip_file(self, error: Exception) -> None:
        """Nothing more can be read from this file: it is kept as .bad, reading goes on with the next one."""
        number, offset = self._read
        path = self._files.path(number)
        logger.error("DISKQUEUE(%s): reading at %d of %s - %s", self._files.name, offset, path, error)
        if number == self._write.file:
            self._start_file()
        try:
            self._files.set_aside(number)
            logger.warning("DISKQUEUE(%s): saved bad file as %s.bad", self._files.name, path)
        except OSError as failure:
            logger.error("DISKQUEUE(%s): failed to rename %s - %s", self._files.name, path, failure)
        self._next_file()

    def _count(self, operations: int, urgent: bool) -> None:
        self.operations += operations
        self._watcher.touched(self, urgent)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _close_writer(self) -> None:
        """What it wrote is still to be synced."""
        if self._writer is not None:
            self._unsynced.append(self._writer.release())
            self._writer = None
