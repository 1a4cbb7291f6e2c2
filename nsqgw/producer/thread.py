"""A producer on an event loop of its own, in a daemon thread: what code without a loop publishes through.

Other threads hand over steps, which run on the loop in the order in which they came; the outcome of each
is a concurrent future. Many steps handed over in a row cost one wake-up of the loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from nsqgw.errors import Closed
from nsqgw.producer.producer import Producer

T = TypeVar("T")
Step = Callable[[Producer], Awaitable[T]]

_END_TIMEOUT = 5.0
"""For what stopping a producer takes beyond the wait for answers: hanging up, and steps that clean up."""

_SIGNAL_CHECK = 1.0


class ProducerThread:
    """Runs from its construction to `stop`; both are for the process that made it, not for a forked one."""

    def __init__(self, producer: Producer, name: str = "nsqgw-producer") -> None:
        self.producer = producer
        self._loop = _Loop()
        self._lock = threading.RLock()  # reentrant: a signal handler may publish, too
        self._incoming: deque[tuple[Step[Any], Future[Any]]] = deque()
        self._woken = True  # by itself, once the producer has been started
        self._steps: set[asyncio.Future[Any]] = set()
        self._end = asyncio.Event()
        self._ending = False
        self._stop_timeout = 0.0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def inside(self) -> bool:
        """Whether the caller is on this thread, and must not wait for it."""
        return threading.current_thread() is self._thread

    def submit(self, step: Step[T]) -> Future[T]:
        """Have `step(producer)` awaited on the loop; the future is done with its outcome.

        Closed once the thread is being stopped. A step that has begun cannot be cancelled.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._ending:
                raise Closed("the producer was stopped")
            self._incoming.append((step, future))
            if not self._woken:
                self._woken = True
                self._loop.call_soon_threadsafe(self._take)
        return future

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the loop; nothing happens once the thread is being stopped."""
        with self._lock:
            if not self._ending:
                self._loop.call_soon_threadsafe(callback)

    def stop(self, timeout: float) -> None:
        """Stop the producer, which gets `timeout` seconds for the answers due, and end the thread."""
        with self._lock:
            if not self._ending:
                self._ending = True
                self._stop_timeout = timeout
                self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(timeout + 2 * _END_TIMEOUT)

    # -- on the loop

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._live())
        finally:
            with self._lock:
                self._ending = True
            while self._incoming:
                self._incoming.popleft()[1].set_exception(Closed("the producer was stopped"))
            self._loop.close()

    async def _live(self) -> None:
        await self.producer.start()
        try:
            self._take()
            await self._end.wait()
            self._take()
        finally:
            await self.producer.stop(self._stop_timeout)
            await self._end_steps()

    def _take(self) -> None:
        self._woken = False
        while self._incoming:
            step, future = self._incoming.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                outcome = asyncio.ensure_future(step(self.producer))
            except Exception as error:  # noqa: BLE001 - carried over to the thread that asked
                future.set_exception(error)
            else:
                self._steps.add(outcome)
                outcome.add_done_callback(partial(self._settle, future))

    def _settle(self, future: Future[Any], outcome: asyncio.Future[Any]) -> None:
        self._steps.discard(outcome)
        if outcome.cancelled():
            future.set_exception(Closed("the producer was stopped"))
        elif (error := outcome.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(outcome.result())

    async def _end_steps(self) -> None:
        """Whoever waits for a step hears of its end."""
        for timeout in (1.0, _END_TIMEOUT):
            if self._steps:
                await asyncio.wait(self._steps, timeout=timeout)
            for step in self._steps:
                step.cancel()
        await asyncio.sleep(0)  # the callbacks of those done just now


class _Loop(asyncio.SelectorEventLoop):
    """Resolves names while the interpreter exits, too: what is flushed then may need a connection first."""

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        try:
            return await super().getaddrinfo(host, port, **hints)
        except RuntimeError:  # the executors are shut down before the functions of `atexit` run
            return socket.getaddrinfo(host, port, **hints)


def outcome_of(future: Future[T]) -> T:
    """What `future.result()` gives, with a look at signals once a second.

    A signal that arrives just before a thread begins to wait without a limit is not handled until the wait
    is over: Ctrl-C would go unnoticed.
    """
    while True:
        try:
            return future.result(_SIGNAL_CHECK)
        except concurrent.futures.TimeoutError:
            if future.done():  # the error is the future's own, or it was done a moment too late
                return future.result()
