"""Where a broker keeps what outlives it: a folder (DataPath), or nowhere (NoDataPath).

The command gives the broker a folder, its working directory by default, as the original. A broker embedded
in a program has none unless it is given one, and then writes no file at all.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from compat.nsqd.backend import Backend, MemoryBackend, MemoryBudget
from compat.nsqd.disk_queue import DiskLimits, DiskQueue
from compat.nsqd.disk_segment import SegmentFiles
from compat.nsqd.disk_sync import DiskSync
from compat.nsqd.disk_sync_job import store_file
from compat.nsqd.health import Health
from compat.nsqd.metadata import TopicMetadata, decode_metadata
from compat.nsqd.options import NsqdOptions
from compat.nsqd.unfinished import Find
from nsqgw.errors import ConfigError

_DATA_FILE = re.compile(r"(.+)\.diskqueue\.([0-9]{6,})\.dat")
_TEMPORARY = re.compile(r"(nsqd|.+\.diskqueue\.meta)\.dat\.[0-9]+\.tmp")


class Storage(Protocol):
    """What a broker wants of either."""

    health: Health
    durable: bool
    """Whether what is stored outlives the process."""

    def open(self, metadata: Callable[[], bytes]) -> list[TopicMetadata]:
        """Take possession; the topics there were. `metadata` gives nsqd.dat's content from now on."""

    def backend(self, name: str, find: Find | None = None) -> Backend:
        """What is behind the memory of the queue `name`, `topic` or `topic:channel`."""

    def loaded(self) -> None:
        """The topics exist: begin."""

    def metadata_changed(self) -> None:
        """A topic or channel came, went, or was paused."""

    @property
    def answers_wait(self) -> bool:
        """Whether what was published may be confirmed only after `synced`."""

    async def synced(self) -> str:
        """Return "" when all that was stored up to now is on disk, or the reason why it is not."""

    async def close(self) -> None:
        """Store what is left and let go; nothing may be put into the backends any more."""


class NoDataPath:
    """Memory only: backends of MEMORY_LIMIT bytes in all, nothing to load, nothing to keep."""

    durable = False
    answers_wait = False

    def __init__(self) -> None:
        self.health = Health()
        self._budget = MemoryBudget()

    def open(self, metadata: Callable[[], bytes]) -> list[TopicMetadata]:
        return []

    def backend(self, name: str, find: Find | None = None) -> Backend:
        return MemoryBackend(self._budget, self.health.stored)

    def loaded(self) -> None:
        pass

    def metadata_changed(self) -> None:
        pass

    async def synced(self) -> str:
        return ""

    async def close(self) -> None:
        pass


class DataPath:
    """A folder, locked for as long as it is open.

    With sync-every 1, a message on disk is confirmed after the fsync; else, as in nsqd, after the write.
    """

    durable = True

    def __init__(self, options: NsqdOptions) -> None:
        self.health = Health()
        self._sync_each = options.sync_every == 1
        self._all_on_disk = options.mem_queue_size == 0
        self._folder = Path(options.data_path)
        self._limits = DiskLimits(options.max_bytes_per_file, options.max_msg_size)
        self._sync = DiskSync(
            self._folder,
            self.health,
            sync_every=options.sync_every,
            sync_timeout=options.sync_timeout,
        )
        self._lock: int | None = None
        self._loaded = False
        self._queues: WeakSet[DiskQueue] = WeakSet()
        self._numbers: dict[str, set[int]] = {}

    def open(self, metadata: Callable[[], bytes]) -> list[TopicMetadata]:
        """Raises ConfigError when the folder is in use, cannot be used, or its nsqd.dat makes no sense."""
        self._sync.metadata = metadata
        try:
            self._lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._look_around()
        except BlockingIOError as error:
            raise self._refusal("another nsqd uses it; give each its own") from error
        except OSError as error:
            raise self._refusal(f"{error.strerror}; name a folder that can be written") from error
        return self._topics()

    def backend(self, name: str, find: Find | None = None) -> Backend:
        files = SegmentFiles(self._folder, name, self._numbers.pop(name, set()))
        queue = DiskQueue(files, self._limits, self._sync, find)
        self._queues.add(queue)
        return queue

    def loaded(self) -> None:
        """Store nsqd.dat once, which tells whether that works, and begin to sync. Raises ConfigError."""
        try:
            store_file(self._sync.metadata_path, self._sync.metadata())
        except OSError as error:
            raise self._refusal(f"{error.strerror}; name a folder that can be written") from error
        self._loaded = True
        self._sync.start()

    def metadata_changed(self) -> None:
        if self._loaded:
            self._sync.metadata_changed()

    @property
    def answers_wait(self) -> bool:
        return self._sync_each and (self._all_on_disk or self._sync.pending)

    async def synced(self) -> str:
        return await self._sync.synced()

    async def close(self) -> None:
        if self._lock is None:
            return
        self.metadata_changed()
        await self._sync.stop()
        for queue in self._queues:
            queue.close()
        os.close(self._lock)
        self._lock = None

    def _look_around(self) -> None:
        """Note which data files there are; remove what a crash left of files that were being stored."""
        for entry in os.scandir(self._folder):
            if entry.is_dir():
                continue
            if _TEMPORARY.fullmatch(entry.name):
                os.unlink(entry)
            elif (found := _DATA_FILE.fullmatch(entry.name)) is not None:
                self._numbers.setdefault(found[1], set()).add(int(found[2]))

    def _topics(self) -> list[TopicMetadata]:
        path = self._sync.metadata_path
        try:
            return decode_metadata(path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"failed to parse metadata in {path}: {error}; mend or remove it") from error

    def _refusal(self, why: str) -> ConfigError:
        return ConfigError(f"--data-path={self._folder}: cannot lock or write it: {why}")
