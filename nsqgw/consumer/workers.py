"""Long-lived worker tasks that take items from a queue: a task per message would cost six times as much.

Each item's handler is awaited by a worker itself, and told about in the same step.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

ENDING = (SystemExit, KeyboardInterrupt)
"""What ends the program; all else that a handler raises is its failure."""

logger = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 3.0
"""Seconds a cancelled worker has to end: room for a handler's own cleaning up."""


class WorkerPool(Generic[T]):
    """At most `limit()` items are being handled at once; workers are started as they are needed.

    A worker that takes an item while more are queued wakes two others, so that full concurrency is
    there within a few turns; one whose handler never suspends empties the queue alone, and nobody
    else is disturbed.

    `done` is called with each item whose `handle` has returned, `failed` with one for which it raised and
    the error. When the pool closes, neither is.
    """

    def __init__(
        self,
        handle: Callable[[T], Awaitable[object]],
        limit: Callable[[], int],
        done: Callable[[T], None],
        failed: Callable[[T, BaseException], None],
    ) -> None:
        self._handle = handle
        self._done = done
        self._failed = failed
        self._limit = limit
        self._queue: deque[T] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._waking = 0
        self.closing = False
        self._loop = asyncio.get_running_loop()

    def put_all(self, items: Iterable[T]) -> None:
        """Queue items in order."""
        self._queue.extend(items)
        if not self._waking:
            self._wake()

    def take_queued(self) -> list[T]:
        """The items no worker has taken yet, removed from the queue."""
        items = list(self._queue)
        self._queue.clear()
        return items

    def discard(self, is_stale: Callable[[T], bool]) -> None:
        """Forget the queued items for which `is_stale` says so."""
        fresh = [item for item in self._queue if not is_stale(item)]
        self._queue.clear()
        self._queue.extend(fresh)

    def is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether `task` is one of the workers."""
        return task in self._workers

    async def close(self) -> None:
        """Cancel the workers and wait for them; none of them may call this.

        A handler that catches its CancelledError and goes on is waited for only a few seconds.
        """
        self.closing = True
        self._queue.clear()
        workers = set(self._workers)
        for worker in workers:
            worker.cancel()
        if workers:
            _, stubborn = await asyncio.wait(workers, timeout=_CLOSE_TIMEOUT)
            if stubborn:
                text = "%d handler(s) go on %g s after they were cancelled; they are left behind"
                logger.warning(text, len(stubborn), _CLOSE_TIMEOUT)

    def _wake(self) -> None:
        while self._idle:
            sleeper = self._idle.pop()
            if not sleeper.done():
                self._waking += 1
                sleeper.set_result(None)
                return
        if len(self._workers) < self._limit():
            self._waking += 1
            worker = self._loop.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        """A worker is no more, perhaps by a cancellation a handler left behind; its work is another's."""
        self._workers.discard(worker)
        if self._queue and not self.closing and not self._waking:
            self._wake()

    async def _work(self) -> None:
        queue, handle, done, failed = self._queue, self._handle, self._done, self._failed
        while True:
            self._waking -= 1
            if len(queue) > 1:
                # Each woken worker wakes two: all are there after a few turns, should handlers suspend.
                self._wake()
                self._wake()
            while queue:
                item = queue.popleft()
                try:
                    await handle(item)
                except asyncio.CancelledError as error:
                    # Something it waited for was cancelled, or the worker itself is, because the pool closes.
                    if self.closing:
                        raise
                    failed(item, error)
                except ENDING:
                    raise
                except BaseException as error:  # whatever a handler raises is its failure
                    if isinstance(error, GeneratorExit) and not self._running():
                        raise  # no handler's: this coroutine is being closed
                    failed(item, error)
                else:
                    done(item)
                del item  # its body need not live until the next comes
            if self.closing:  # the item's handling has caught its cancellation
                return
            await self._sleep()

    async def _sleep(self) -> None:
        """Until there may be work."""
        sleeper: asyncio.Future[None] = self._loop.create_future()
        self._idle.append(sleeper)
        try:
            await sleeper
        except asyncio.CancelledError:
            if not sleeper.cancelled():  # woken, and cancelled in the same turn
                self._waking -= 1
            raise

    def _running(self) -> bool:
        return self.is_run_by(asyncio.current_task(self._loop))
