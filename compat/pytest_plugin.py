"""Fixtures for tests of programs that use NSQ: `nsqd`, `nsqlookupd` and `nsq_cluster`.

Each daemon runs in this process on free ports, on an event loop of its own in a background thread, and
starts within milliseconds. pytest loads this module wherever the package is installed, so it imports the
daemons only when a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from compat.cluster import Cluster
    from compat.threaded import ThreadedNsqd, ThreadedNsqlookupd


@pytest.fixture
def nsqd() -> Iterator[ThreadedNsqd]:
    """A running nsqd: `.tcp_address`, `.http_address`, `.stop()` (abrupt), `.start()` (same ports)."""
    from compat.threaded import ThreadedNsqd

    daemon = ThreadedNsqd()
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def nsqlookupd() -> Iterator[ThreadedNsqlookupd]:
    """A running nsqlookupd, with the same handles as `nsqd`."""
    from compat.threaded import ThreadedNsqlookupd

    daemon = ThreadedNsqlookupd()
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def nsq_cluster() -> Iterator[Callable[[int], Cluster]]:
    """`nsq_cluster(n)` starts n nsqds that register with one nsqlookupd: `.nsqds` and `.lookupd`."""
    from compat.cluster import Cluster

    with ExitStack() as running:
        yield lambda nsqds: running.enter_context(Cluster(nsqds))
