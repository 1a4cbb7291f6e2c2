"""A thread for blocking calls, one after the other, which cannot hold up the end of the program.

The executors of the standard library are joined at exit: a write that hangs in a dead disk would hold a
draining service for ever. The thread of a lane is a daemon. A call whose turn has not come can be given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any


class Lane:
    """Runs calls in order of submission; the results come to the event loop it was made in."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[asyncio.Future[Any], Callable[[], Any]] = {}
        self._closed = False
        self._changed = threading.Condition()  # guards both, for moments only: never held during a call
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        """Queue `call`; the future gets what it returns or raises. Cancelling it does not stop the call."""
        future = self._loop.create_future()
        with self._changed:
            self._waiting[future] = call
            self._changed.notify()
        return future

    def give_up(self, future: asyncio.Future[Any]) -> bool:
        """Take back a call whose turn has not come: it never runs. False when it has begun, or ended."""
        with self._changed:
            taken_back = self._waiting.pop(future, None) is not None
        if taken_back:
            future.cancel()
        return taken_back

    def close(self) -> None:
        """End the thread after the calls already queued; does not wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        # A loop that is closed means that nobody waits for the rest.
        with contextlib.suppress(RuntimeError):
            while (job := self._next()) is not None:
                future, call = job
                try:
                    result = call()
                except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the future
                    self._loop.call_soon_threadsafe(_settle, future, None, error)
                else:
                    self._loop.call_soon_threadsafe(_settle, future, result, None)
                del job, call, future

    def _next(self) -> tuple[asyncio.Future[Any], Callable[[], Any]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            future = next(iter(self._waiting))
            return future, self._waiting.pop(future)


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
