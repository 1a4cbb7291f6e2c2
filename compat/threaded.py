"""Daemons for tests and scripts: each on an event loop of its own, in a background thread.

Both synchronous and asynchronous code can use them, and a handler that blocks the caller's loop does not
block the daemon.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from compat.nsqd import Nsqd, NsqdOptions
from compat.nsqlookupd import Nsqlookupd, NsqlookupdOptions
from nsqgw.errors import DeadlineExceeded

ANY_PORT = "127.0.0.1:0"
START_TIMEOUT = 10.0
STOP_TIMEOUT = 10.0
CALL_TIMEOUT = 30.0


class Embeddable(Protocol):
    """What Nsqd and Nsqlookupd have in common."""

    tcp_address: str
    http_address: str

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


DaemonT = TypeVar("DaemonT", bound=Embeddable)
T = TypeVar("T")


class ThreadedDaemon(Generic[DaemonT]):
    """A daemon in a thread. `create(tcp_address, http_address)` makes one that will listen there, on a
    loop that `new_loop` makes.

    `stop` ends it; what it held is gone, unless its options name a data path. `start` brings it back on the
    same ports.
    A context manager: started inside, stopped behind.
    """

    def __init__(
        self,
        create: Callable[[str, str], DaemonT],
        new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        self.tcp_address = ANY_PORT
        self.http_address = ANY_PORT
        self._create = create
        self._new_loop = new_loop
        self._life: _Life[DaemonT] | None = None

    def start(self) -> None:
        """Listen; on the first call on free ports, which `tcp_address` and `http_address` then tell.

        Raises what the daemon's own `start` raises, and RuntimeError when it runs already.
        """
        if self._life is not None:
            raise RuntimeError("the daemon runs already")
        life = _Life(self._create(self.tcp_address, self.http_address), self._new_loop())
        life.start()
        self._life = life
        self.tcp_address = life.daemon.tcp_address
        self.http_address = life.daemon.http_address

    def stop(self) -> None:
        """Close its ports and connections; nothing happens when it does not run."""
        if self._life is not None:
            life, self._life = self._life, None
            life.stop()

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._life is not None

    def run(self, work: Callable[[DaemonT], Awaitable[T]]) -> T:
        """The result of `work(daemon)`, done on the daemon's loop; RuntimeError when it does not run."""
        if self._life is None:
            raise RuntimeError("the daemon does not run: start() it")
        return self._life.run(work)

    def __enter__(self) -> ThreadedDaemon[DaemonT]:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class ThreadedNsqd(ThreadedDaemon[Nsqd]):
    """nsqd in a thread; the addresses in `options` are replaced by free ports of this machine."""

    def __init__(self, options: NsqdOptions | None = None) -> None:
        settings = options or NsqdOptions(broadcast_address="127.0.0.1")
        super().__init__(lambda tcp, http: Nsqd(replace(settings, tcp_address=tcp, http_address=http)))


class ThreadedNsqlookupd(ThreadedDaemon[Nsqlookupd]):
    """nsqlookupd in a thread; the addresses in `options` are replaced by free ports of this machine."""

    def __init__(self, options: NsqlookupdOptions | None = None) -> None:
        settings = options or NsqlookupdOptions(broadcast_address="127.0.0.1")
        super().__init__(lambda tcp, http: Nsqlookupd(replace(settings, tcp_address=tcp, http_address=http)))


class _Life(Generic[DaemonT]):
    """One run of a daemon: its thread, its loop, and how it began."""

    def __init__(self, daemon: DaemonT, loop: asyncio.AbstractEventLoop) -> None:
        self.daemon = daemon
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._loop = loop
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=type(daemon).__name__, daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._begun.wait(START_TIMEOUT):
            raise DeadlineExceeded(f"{self._thread.name} did not start within {START_TIMEOUT:g}s")
        if self._failure is not None:
            self._thread.join(STOP_TIMEOUT)
            raise self._failure

    def run(self, work: Callable[[DaemonT], Awaitable[T]]) -> T:
        async def done() -> T:
            return await work(self.daemon)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(CALL_TIMEOUT)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(STOP_TIMEOUT)
        if self._thread.is_alive():
            raise DeadlineExceeded(f"{self._thread.name} did not stop within {STOP_TIMEOUT:g}s")
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that started this one
            self._failure = error
        finally:
            self._loop.close()
            self._begun.set()

    async def _live(self) -> None:
        try:
            await self.daemon.start()
            self._begun.set()
            await self._end.wait()
        finally:
            await self.daemon.stop()
