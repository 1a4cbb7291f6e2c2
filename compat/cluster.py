"""Several nsqds and the nsqlookupd they register with, each in a thread."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from compat.nsqd import NsqdOptions
from compat.threaded import ThreadedNsqd, ThreadedNsqlookupd


class Cluster:
    """`nsqds` daemons and one directory, as a context manager; each can be stopped and started by itself."""

    def __init__(self, nsqds: int) -> None:
        self.lookupd = ThreadedNsqlookupd()
        self.nsqds: tuple[ThreadedNsqd, ...] = ()
        self._count = nsqds
        self._running = ExitStack()

    def __enter__(self) -> Cluster:
        with ExitStack() as running:
            running.enter_context(self.lookupd)
            options = NsqdOptions(
                broadcast_address="127.0.0.1", lookupd_tcp_addresses=(self.lookupd.tcp_address,)
            )
            self.nsqds = tuple(ThreadedNsqd(options) for _ in range(self._count))
            for each in self.nsqds:
                running.enter_context(each)
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()
