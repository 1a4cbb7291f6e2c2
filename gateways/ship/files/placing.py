"""Putting finished files where they belong: never over another file, on the disk before anything is told.

All of it blocks, and raises OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil

_FOLDER_MODE = 0o770


def sync_folder(folder: str) -> None:
    """Put the names in a folder on the disk: a power cut can lose a new one, and with it all lines."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(root: str, folder: str) -> None:
    """Create what is missing of `folder` below `root`; not `root` itself: a disk may belong there."""
    if folder == root or os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    make_folders(root, above)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, _FOLDER_MODE)
    sync_folder(above)


def move_exclusively(source: str, target: str) -> None:
    """Move a file; FileExistsError when there is another one at `target` already, which stays as it is.

    A move that was cut short between its two steps is brought to its end.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        if not os.path.samefile(source, target):
            raise
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP):
            raise
        _copy_exclusively(source, target)
    sync_folder(os.path.dirname(target))
    os.unlink(source)
    sync_folder(os.path.dirname(source))


def _copy_exclusively(source: str, target: str) -> None:
    """For a target on another file system: whole and on the disk before it has its name."""
    folder, name = os.path.split(target)
    partial = os.path.join(folder, f".{name}.{os.getpid()}.part")
    try:
        with open(source, "rb") as content, open(partial, "wb") as copy:
            shutil.copyfileobj(content, copy, 1024 * 1024)
            copy.flush()
            os.fsync(copy.fileno())
        shutil.copymode(source, partial)
        try:
            os.link(partial, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            _rename_unless_there(partial, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)


def _rename_unless_there(source: str, target: str) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    os.rename(source, target)
