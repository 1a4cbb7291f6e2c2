"""The part of a sync that waits for the disk: values taken on the event loop, carried out in a thread."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from compat.nsqd.disk_record import encode_records
from compat.nsqd.disk_segment import FILE_MODE, SegmentFiles
from compat.nsqd.unfinished import Apart


class SyncLock:
    """Keeps a queue's deletion apart from what a sync does to its files, but not from the sync itself."""

    def __init__(self) -> None:
        self.cancelled = False
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """From now on the files are left alone."""
        with self._lock:
            self.cancelled = True

    def replace(self, temporary: Path, path: Path) -> None:
        """Move a new meta file to its place."""
        with self._lock:
            if not self.cancelled:
                temporary.replace(path)

    def append(self, path: Path, content: bytes) -> None:
        """Until `content` is on disk behind what the file holds; a crash may cut it short."""
        with self._lock:
            if self.cancelled:
                return
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove data files that were read to their end."""
        with self._lock:
            if not self.cancelled:
                for path in paths:
                    path.unlink(missing_ok=True)


class SyncJob:
    """What one queue wants on disk: the data in `fds`, which it owns, then `apart`, then `meta`.

    `finished` are data files nobody needs any more; they go before the meta file moves on, as in
    go-diskqueue, so a crash leaves no files that no meta file speaks of. `apart` is what
    there is to store apart. `creates` says whether a data file is new in its folder.
    """

    def __init__(
        self,
        files: SegmentFiles,
        fds: Iterable[int],
        finished: Iterable[int],
        meta: bytes,
        *,
        apart: Apart | None,
        creates: bool,
    ) -> None:
        self.creates = creates
        self._apart = apart
        self.lock = SyncLock()
        self._fds = list(fds)
        self._finished = [files.path(number) for number in finished]
        self._meta = meta
        self._meta_path = files.meta
        self._apart_path = files.apart

    def sync_data(self) -> None:
        """Until the data is on disk."""
        for fd in self._fds:
            os.fsync(fd)

    def store_meta(self) -> None:
        """Until the meta file is on disk."""
        apart = self._apart
        if apart is not None and apart.messages:
            records = b"".join(encode_records(apart.messages))
            if apart.replace:
                store_file(self._apart_path, records, self.lock.replace)
            else:
                self.lock.append(self._apart_path, records)
        self.lock.remove(self._finished)
        store_file(self._meta_path, self._meta, self.lock.replace)
        if apart is not None and not apart.messages:
            self.lock.remove([self._apart_path])

    def close(self) -> None:
        """It is done, or will not be."""
        while self._fds:
            os.close(self._fds.pop())


def store_file(path: Path, content: bytes, replace: Callable[[Path, Path], object] = Path.replace) -> None:
    """Replace the file as a whole: a crash leaves the old or the new content (nsqd-behaviour 2, 3)."""
    temporary = path.with_name(f"{path.name}.{random.getrandbits(63)}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Until the names of files are on disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
