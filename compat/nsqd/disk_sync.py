"""When the disk queues are synced: rounds of fsync in a thread, each for all that is due (nsqd-behaviour 2).

Not on the event loop: an fsync takes milliseconds, on a busy disk seconds, in which nobody would get a
message or a heartbeat. What is published meanwhile waits for the next round, so the number of fsyncs follows
from the speed of the disk and not from that of the publishers.

A round syncs the data of all its queues before it stores the first meta file: a topic's read position never
moves past messages that its channels may still lose.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compat.nsqd.disk_queue import DiskQueue
from compat.nsqd.disk_sync_job import SyncJob, store_file, sync_folder
from compat.nsqd.health import Health

logger = logging.getLogger(__name__)


class DiskSync:
    """Syncs queues after `sync_every` reads and writes, and what is left every `sync_timeout` seconds.

    `metadata` gives the content of nsqd.dat, which a round stores when `metadata_changed` was called.
    """

    def __init__(self, folder: Path, health: Health, *, sync_every: int, sync_timeout: float) -> None:
        self.metadata: Callable[[], bytes] = bytes
        self.metadata_path = folder / "nsqd.dat"
        self._folder = folder
        self._health = health
        self._sync_every = sync_every
        self._sync_timeout = sync_timeout
        self._metadata_due = False
        self._queues: dict[DiskQueue, None] = {}
        self._waiters: list[asyncio.Future[str]] = []
        self._due = False
        self._queues_due = False
        self._running: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nsqd-sync")

    def start(self) -> None:
        """Begin the rounds of every `sync_timeout`."""
        self._timer = asyncio.get_running_loop().call_later(self._sync_timeout, self._tick)

    async def stop(self) -> None:
        """One last round for everything, then no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._request()
        while self._running is not None:
            await asyncio.wait({self._running})
        self._thread.shutdown()

    def touched(self, queue: DiskQueue, urgent: bool) -> None:
        self._queues[queue] = None
        if urgent or queue.operations >= self._sync_every:
            self._request()

    def stored(self, reason: str) -> None:
        self._health.stored(reason)

    def metadata_changed(self) -> None:
        """nsqd.dat is to be written, soon."""
        self._metadata_due = True
        self._begin()

    @property
    def pending(self) -> bool:
        """Whether something is not synced yet, as far as is known."""
        return bool(self._queues) or self._metadata_due or self._running is not None

    async def synced(self) -> str:
        """Return "" when everything written up to now is on disk, or why it could not be synced."""
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._request()
        return await waiter

    def _tick(self) -> None:
        self.start()
        if self._queues or self._metadata_due:
            self._request()

    def _request(self) -> None:
        self._queues_due = True
        self._begin()

    def _begin(self) -> None:
        self._due = True
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._due:
                await asyncio.sleep(0)  # what was published just now goes on to the channels first
                self._due = False
                await self._round()
        finally:
            self._running = None

    async def _round(self) -> None:
        waiters, self._waiters = self._waiters, []
        queues: list[DiskQueue] = []
        if self._queues_due:
            queues, self._queues, self._queues_due = list(self._queues), {}, False
        metadata = self.metadata() if self._metadata_due else None
        self._metadata_due = False
        error = await self._sync(queues, metadata)
        for queue in queues:
            queue.synced(error)
        self._queues.update((queue, None) for queue in queues if error or not queue.settled)
        if error is not None:
            logger.error("DISKQUEUE: failed to sync - %s", error)
            self._health.stored(f"sync: {error}")
            self._metadata_due = self._metadata_due or metadata is not None
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result("" if error is None else f"sync: {error.strerror}")

    async def _sync(self, queues: Sequence[DiskQueue], metadata: bytes | None) -> OSError | None:
        """Have the thread do what is to be done; why it failed."""
        jobs: list[SyncJob] = []
        try:
            jobs.extend(job for queue in queues if (job := queue.sync_job()) is not None)
        except OSError as error:
            for job in jobs:
                job.close()
            return error
        if not jobs and metadata is None:
            return None
        run = asyncio.get_running_loop().run_in_executor
        return await run(self._thread, self._carry_out, jobs, metadata)

    def _carry_out(self, jobs: Sequence[SyncJob], metadata: bytes | None) -> OSError | None:
        """In the thread: data, names, and only then where to read on."""
        try:
            for job in jobs:
                job.sync_data()
            if metadata is not None:
                store_file(self.metadata_path, metadata)
            if metadata is not None or any(job.creates for job in jobs):
                sync_folder(self._folder)
            for job in jobs:
                job.store_meta()
        except OSError as error:
            return error
        finally:
            for job in jobs:
                job.close()
        return None
