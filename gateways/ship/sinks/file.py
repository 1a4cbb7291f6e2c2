"""Append to one file: each body as it is and a newline, on the disk before the message is finished.

A full disk or a vanished folder is waited for. A file that was moved away, as logrotate does, is left alone
and a new one begun under the old name.
"""

from __future__ import annotations

import os
import stat

from gateways.pipeline.sink import SinkUnusable
from gateways.ship.sinks.base import LineSink

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class FileSink(LineSink):
    """`path` is created when it is missing, its folder is not."""

    name = "file"

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = os.path.abspath(path)
        self._fd = -1
        self._torn = False

    def describe(self) -> str:
        return f"file {self._path}"

    def _open(self) -> None:
        try:
            self._open_path()
        except OSError as error:
            folder = os.path.dirname(self._path)
            remedy = "choose a file that this user may write"
            if not os.path.isdir(folder):
                remedy = f"create the folder {folder} first"
            raise SinkUnusable(f"cannot write to {self._path}: {error.strerror}; {remedy}") from error
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._close()
            raise SinkUnusable(f"{self._path} is no regular file; use '--to stdout' for pipes")

    def _write(self, data: bytes) -> None:
        self._follow_path()
        if self._torn:
            data = b"\n" + data
        before = os.fstat(self._fd).st_size
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, memoryview(data)[written:])
            os.fsync(self._fd)
        except OSError:
            self._take_back(before, written)
            raise
        self._torn = False

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _follow_path(self) -> None:
        """Reopen when the path leads to another file by now, or to none."""
        if self._fd >= 0:
            try:
                there = os.stat(self._path)
            except FileNotFoundError:
                pass
            else:
                if os.path.samestat(there, os.fstat(self._fd)):
                    return
            self._close()
        self._open_path()

    def _open_path(self) -> None:
        fd = os.open(self._path, _FLAGS, 0o666)
        try:
            self._sync_folder()
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        size = os.fstat(self._fd).st_size
        # A writer that was killed left a piece of a line: its events come again, on lines of their own.
        self._torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def _sync_folder(self) -> None:
        """Put the file's name on the disk: a power cut can lose that of a new file, and with it all lines."""
        folder = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _take_back(self, before: int, written: int) -> None:
        """Remove what a failed write left; when somebody else appended after it, end its line later."""
        try:
            if os.fstat(self._fd).st_size == before + written:
                os.ftruncate(self._fd, before)
                return
        except OSError:
            pass  # the failure itself is what the caller reports
        self._torn = written > 0
