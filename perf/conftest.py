"""One nsqd for all end-to-end benchmarks: the original where it was built, else ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.real import RealNsqd
from perf.load import start_broker


@pytest.fixture(scope="session")
def broker() -> Iterator[RealNsqd]:
    daemon = start_broker()
    yield daemon
    daemon.close()
