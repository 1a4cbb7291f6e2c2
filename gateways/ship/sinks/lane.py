"""A thread for blocking calls, one after the other, which cannot hold up the end of the program.

The executors of the standard library are joined at exit: a write that hangs in a dead disk would hold a
draining service for ever. The thread of a lane is a daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any


class Lane:
    """Runs calls in order of submission; the results come to the event loop it was made in."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        """Queue `call`; the future gets what it returns or raises. Cancelling it does not stop the call."""
        future = self._loop.create_future()
        self._calls.put((call, future))
        return future

    def close(self) -> None:
        """End the thread after the calls already queued; does not wait for it."""
        self._calls.put(None)

    def _run(self) -> None:
        # A loop that is closed means that nobody waits for the rest.
        with contextlib.suppress(RuntimeError):
            while (job := self._calls.get()) is not None:
                call, future = job
                try:
                    result = call()
                except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the future
                    self._loop.call_soon_threadsafe(_settle, future, None, error)
                else:
                    self._loop.call_soon_threadsafe(_settle, future, result, None)
                del job, call, future


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
