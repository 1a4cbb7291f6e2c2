"""Several nsqds and the nsqlookupd they register with: what `nsq_cluster(n)` gives."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import ClassVar, Protocol

from compat.testing.daemons import NsqdUnderTest


class NsqlookupdUnderTest(Protocol):
    """What the fixture `nsqlookupd` gives: the handles of `nsqd` that make sense for it."""

    real: ClassVar[bool]
    tcp_address: str
    http_address: str

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class Cluster:
    """`count` nsqds and one directory, as a context manager; each can be stopped and started by itself.

    `new_nsqd(lookupd_tcp_address)` makes an nsqd that will register there.
    """

    def __init__(
        self, count: int, new_nsqd: Callable[[str], NsqdUnderTest], lookupd: NsqlookupdUnderTest
    ) -> None:
        self.lookupd = lookupd
        self.nsqds: tuple[NsqdUnderTest, ...] = ()
        self._count = count
        self._new_nsqd = new_nsqd
        self._running = ExitStack()

    def __enter__(self) -> Cluster:
        with ExitStack() as running:
            running.callback(self.lookupd.close)
            self.lookupd.start()
            for _ in range(self._count):
                nsqd = self._new_nsqd(self.lookupd.tcp_address)
                running.callback(nsqd.close)
                nsqd.start()
                self.nsqds += (nsqd,)
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()
