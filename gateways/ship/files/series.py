"""One series of files, of which one is being written: rotation, names that are free, and no torn line.

What is written is on the disk when `write` returns. A file that was moved away, as logrotate does, is left
alone and a new one begun. All of it runs in the sink's thread, and blocks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateways.ship.files.compression import Compression, Plain
from gateways.ship.files.names import dated, numbered
from gateways.ship.files.placing import make_folders, move_exclusively, sync_folder

logger = logging.getLogger(__name__)

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


@dataclass(frozen=True)
class FileRules:
    """Where files go and when the next one is begun; times in seconds, sizes in bytes before compression.

    folder           where finished files are; it has to be there, folders below it are made
    work_folder      where a file is while it is written; None for `folder`
    datetime_format  of <DATETIME>, by the local clock or in `utc`
    rotate_interval  a file is written for so long, 0 for ever
    rotate_size      a file larger than this gets no more lines, 0 for any size
    keep_empty       when it is time for the next file, begin it even if nothing is written yet
    sync             False leaves fsync to the system: a power cut loses what was confirmed
    on_finished      called with the path of each file that gets no more lines, where it stays
    """

    folder: str
    work_folder: str | None = None
    datetime_format: str = "%Y-%m-%d_%H"
    utc: bool = False
    rotate_interval: float = 0.0
    rotate_size: int = 0
    compression: Compression = field(default_factory=Plain)
    keep_empty: bool = False
    sync: bool = True
    on_finished: Callable[[str], None] = field(default=lambda path: None, compare=False)

    @property
    def root(self) -> str:
        """The folder files are opened in."""
        return self.work_folder if self.work_folder is not None else self.folder

    @property
    def exclusive(self) -> bool:
        """Whether a file that is there already is never continued."""
        return self.rotate_interval > 0 or not isinstance(self.compression, Plain)


class Series:
    """`name` is relative to the rules' folder and may hold <DATETIME> and <REV>."""

    def __init__(self, name: str, rules: FileRules) -> None:
        self._name = name
        self._rules = rules
        self._fd = -1
        self._path = ""
        self._dated = ""
        self._rev = 0
        self._size = 0
        self._opened_at = 0.0
        self._torn = False
        self._unmoved: list[tuple[str, str, int]] = []

    @property
    def path(self) -> str:
        """The file being written, or written last."""
        return self._path

    @property
    def fd(self) -> int:
        """Of the open file, -1 without one."""
        return self._fd

    @property
    def is_moved(self) -> bool:
        """Whether all its finished files are where they belong."""
        return not self._unmoved

    def write(self, events: Sequence[bytes]) -> tuple[int, OSError | None]:
        """Write lines; how many, from the first, are on the disk, and what kept the others from it."""
        done = 0
        try:
            while done < len(events):
                self.prepare()
                end = done + self._fitting(events, done)
                self._append(b"\n".join(events[done:end]) + b"\n")
                done = end
        except OSError as error:
            return done, error
        return done, None

    def prepare(self) -> None:
        """Have the file open that the next line goes to."""
        name = dated(self._name, self._rules.datetime_format, time.time(), utc=self._rules.utc)
        if self._fd >= 0:
            if self._is_finished(name):
                self.finish(for_good=True)
                self._rev += 1
            elif self._is_replaced():
                self._close()
                self._rev += self._rules.exclusive
        if self._fd < 0:
            if name != self._dated:
                self._dated, self._rev = name, 0
            self._open()

    def tick(self) -> None:
        """Finish a file whose time is over, and move what could not be moved before. Raises OSError."""
        if self._fd >= 0:
            name = dated(self._name, self._rules.datetime_format, time.time(), utc=self._rules.utc)
            if self._is_finished(name):
                self.finish(for_good=True)
                self._rev += name == self._dated
                if self._rules.keep_empty:
                    self.prepare()
        self._move_finished()

    def finish(self, *, for_good: bool = False) -> None:
        """Close the file and move it to where finished files are; a move that fails is tried again later.

        `for_good` says that it is not opened again for more lines.
        """
        if self._fd < 0:
            return
        if self._rules.work_folder is not None and not self._rules.keep_empty and self._is_empty():
            self._discard()
            return
        self._close()
        if self._rules.work_folder is None and (for_good or self._rules.exclusive):
            self._rules.on_finished(self._path)
        if self._rules.work_folder is not None:
            self._unmoved.append((self._path, self._dated, self._rev))
            try:
                self._move_finished()
            except OSError as error:
                logger.warning("file %s is finished and stays there for now: %s", self._path, error.strerror)

    # -- which file

    def _is_finished(self, name: str) -> bool:
        rules = self._rules
        if name != self._dated or 0 < rules.rotate_size < self._size:
            return True
        return 0 < rules.rotate_interval < time.monotonic() - self._opened_at

    def _is_empty(self) -> bool:
        return os.fstat(self._fd).st_size == 0

    def _discard(self) -> None:
        """Remove a work file that nothing was written to: it is no finished one."""
        with contextlib.suppress(OSError):  # the next start removes it
            os.unlink(self._path)
        self._close()

    def _is_replaced(self) -> bool:
        """Whether the path leads to another file by now, or to none."""
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except FileNotFoundError:
            return True

    def _open(self) -> None:
        """Open the first file of this name that may be written, counting up its revision."""
        rules = self._rules
        while True:
            name = numbered(self._dated, self._rev)
            path = os.path.join(rules.root, name)
            make_folders(rules.root, os.path.dirname(path))
            if self._is_taken(name) or not self._open_path(path):
                self._rev += 1
            else:
                self._path = path
                return

    def _is_taken(self, name: str) -> bool:
        """Whether a finished file has this name already."""
        if self._rules.work_folder is None:
            return False
        target = os.path.join(self._rules.folder, name)
        make_folders(self._rules.folder, os.path.dirname(target))
        return os.path.lexists(target)

    def _open_path(self, path: str) -> bool:
        rules = self._rules
        try:
            fd = os.open(path, _APPEND | (os.O_EXCL if rules.exclusive else 0), 0o666)
        except FileExistsError:
            return False
        try:
            there = os.fstat(fd)
            if not stat.S_ISREG(there.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file; use '--to stdout' for pipes")
            if 0 < rules.rotate_size < there.st_size or not self._lock(fd):
                os.close(fd)
                return False
            if rules.sync:
                sync_folder(os.path.dirname(path))
            # A writer that was killed left a piece of a line: its events come again, on lines of their own.
            self._torn = there.st_size > 0 and os.pread(fd, 1, there.st_size - 1) != b"\n"
        except OSError:
            os.close(fd)
            raise
        self._fd, self._size, self._opened_at = fd, there.st_size, time.monotonic()
        return True

    def _lock(self, fd: int) -> bool:
        """Mark a work file as somebody's, so that nobody takes it for one left behind."""
        if self._rules.work_folder is None:
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)

    # -- lines

    def _fitting(self, events: Sequence[bytes], start: int) -> int:
        """How many events go into the file before its size is above the limit."""
        limit = self._rules.rotate_size
        if not limit:
            return len(events) - start
        size, end = self._size, start
        while end < len(events) and (end == start or size <= limit):
            size += len(events[end]) + 1
            end += 1
        return end - start

    def _append(self, lines: bytes) -> None:
        data = self._rules.compression.pack(b"\n" + lines if self._torn else lines)
        before = os.fstat(self._fd).st_size
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, memoryview(data)[written:])
            if self._rules.sync:
                os.fsync(self._fd)
        except OSError:
            self._take_back(before, written)
            raise
        self._torn = False
        # Others may append to a plain file, too.
        self._size = self._size + len(lines) if self._rules.exclusive else before + written

    def _take_back(self, before: int, written: int) -> None:
        """Remove what a failed write left; when somebody else appended after it, end its line later.

        Nothing behind a torn piece of a compressed file can be read: what comes now goes to the next file.
        """
        try:
            if os.fstat(self._fd).st_size == before + written:
                os.ftruncate(self._fd, before)
                return
        except OSError:
            pass  # the failure itself is what the caller reports
        self._torn = written > 0
        if self._torn and not isinstance(self._rules.compression, Plain):
            self.finish()
            self._rev += 1

    # -- finished files

    def _move_finished(self) -> None:
        while self._unmoved:
            path, name, rev = self._unmoved[0]
            move_finished(path, name, rev, self._rules)
            del self._unmoved[0]


def move_finished(path: str, name: str, rev: int, rules: FileRules) -> None:
    """Move a work file to where finished files are, under the first revision from `rev` on that is free.

    `name` still has its <REV>. Raises OSError.
    """
    while True:
        target = os.path.join(rules.folder, numbered(name, rev))
        make_folders(rules.folder, os.path.dirname(target))
        try:
            move_exclusively(path, target)
        except FileExistsError:
            rev += 1
        except FileNotFoundError:
            if os.path.lexists(path):
                raise
            logger.warning("file %s was removed before it could be moved", path)
            return
        else:
            rules.on_finished(target)
            return
