"""A disk queue and what it needs, for tests of the files; written from the description, not from our code."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from compat.nsqd.disk_queue import DiskLimits, DiskQueue
from compat.nsqd.disk_segment import SegmentFiles
from compat.nsqd.message import Message

NAME = "t"
_ids = itertools.count(1)


class Watched:
    """Takes notice of what a queue tells, and syncs it when asked, on the spot."""

    def __init__(self) -> None:
        self.urgent = 0
        self.reasons: list[str] = []

    def touched(self, queue: DiskQueue, urgent: bool) -> None:
        self.urgent += urgent

    def stored(self, reason: str) -> None:
        self.reasons.append(reason)


def open_queue(
    folder: Path,
    watcher: Watched | None = None,
    *,
    max_bytes_per_file: int = 1000,
    max_msg_size: int = 200,
    find: Callable[[bytes], Message | None] | None = None,
) -> DiskQueue:
    """The queue `t` in `folder`, as a broker finds it at its start."""
    numbers = {int(path.name.split(".")[2]) for path in folder.glob(f"{NAME}.diskqueue.0*.dat")}
    limits = DiskLimits(max_bytes_per_file, max_msg_size)
    return DiskQueue(SegmentFiles(folder, NAME, numbers), limits, watcher or Watched(), find)


def sync(queue: DiskQueue) -> bool:
    """Sync it here and now; whether there was anything to do."""
    job = queue.sync_job()
    if job is not None:
        job.sync_data()
        job.store_meta()
        job.close()
    queue.synced(None)
    return job is not None


def shut(queue: DiskQueue) -> None:
    """A clean end."""
    sync(queue)
    queue.close()


def message(body: bytes, attempts: int = 0) -> Message:
    made = Message(b"%016x" % next(_ids), 1_700_000_000_000_000_000, body)
    made.attempts = attempts
    return made


def messages(*bodies: bytes) -> list[Message]:
    return [message(body) for body in bodies]


def drain(queue: DiskQueue, at_a_time: int = 3) -> list[bytes]:
    """The bodies of all that can be read."""
    bodies: list[bytes] = []
    while queue.depth:
        bodies += [each.body for each in queue.get(at_a_time, 1 << 20)]
    return bodies


def record(
    body: bytes, attempts: int = 0, message_id: bytes = b"0123456789abcdef", timestamp: int = 7
) -> bytes:
    """What go-diskqueue writes for a message."""
    content = struct.pack(">qH", timestamp, attempts) + message_id + body
    return struct.pack(">i", len(content)) + content


def files(folder: Path) -> dict[str, int]:
    """Names and sizes."""
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def write_queue(folder: Path, data: dict[int, Iterable[bytes]], meta: str | None) -> None:
    """Data files of records, and a meta file."""
    for number, records in data.items():
        (folder / f"{NAME}.diskqueue.{number:06d}.dat").write_bytes(b"".join(records))
    if meta is not None:
        (folder / f"{NAME}.diskqueue.meta.dat").write_text(meta)
