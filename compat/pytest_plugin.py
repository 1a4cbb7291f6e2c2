"""Fixtures for tests of programs that use NSQ: `nsqd`, `nsqlookupd` and `nsq_cluster`; see docs/testing.md.

Each daemon runs in this process on free ports, on an event loop of its own in a background thread, and
starts within milliseconds; with `--nsq-real` it is a process of the original. pytest loads this module
wherever the package is installed, so it imports the daemons only when a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from compat.testing import Cluster, NsqdUnderTest, NsqlookupdUnderTest

REAL = "nsq_real"
PATH = "nsq_path"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("nsq", "NSQ daemons for tests")
    group.addoption(
        "--nsq-real", action="store_true", default=None, help="run the original nsqd and nsqlookupd"
    )
    group.addoption("--nsq-path", metavar="FOLDER", help="where they lie, if not in PATH")
    parser.addini(
        REAL, "run the original nsqd and nsqlookupd, as --nsq-real does", type="bool", default=False
    )
    parser.addini(PATH, "the folder of the original nsqd and nsqlookupd, as --nsq-path", default="")


@pytest.fixture
def nsqd_options() -> dict[str, Any]:
    """Flags of nsqd by name, such as `{"msg_timeout": 5.0}`: override this fixture to set some."""
    return {}


@pytest.fixture
def nsqd(request: pytest.FixtureRequest, nsqd_options: dict[str, Any]) -> Iterator[NsqdUnderTest]:
    """A running nsqd: addresses, `stop()` and `start()`, `topic()`, `publish()`, `clock`, `faults`."""
    daemon = _new_nsqd(request.config, nsqd_options)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def nsqlookupd(request: pytest.FixtureRequest) -> Iterator[NsqlookupdUnderTest]:
    """A running nsqlookupd: addresses, `stop()` and `start()`."""
    daemon = _new_nsqlookupd(request.config)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def nsq_cluster(
    request: pytest.FixtureRequest, nsqd_options: dict[str, Any]
) -> Iterator[Callable[[int], Cluster]]:
    """`nsq_cluster(n)` starts n nsqds that register with one nsqlookupd: `.nsqds` and `.lookupd`."""
    from compat.testing import Cluster

    def new_nsqd(lookupd_tcp_address: str) -> NsqdUnderTest:
        flags = {"lookupd_tcp_addresses": (lookupd_tcp_address,)} | nsqd_options
        return _new_nsqd(request.config, flags)

    with ExitStack() as running:
        yield lambda count: running.enter_context(Cluster(count, new_nsqd, _new_nsqlookupd(request.config)))


def _new_nsqd(config: pytest.Config, flags: dict[str, Any]) -> NsqdUnderTest:
    from compat.testing import EmbeddedNsqd, MissingProgram, RealNsqd

    if not _wants_real(config):
        return EmbeddedNsqd(**flags)
    try:
        return RealNsqd(_folder(config), **flags)
    except MissingProgram as error:
        pytest.fail(str(error), pytrace=False)


def _new_nsqlookupd(config: pytest.Config) -> NsqlookupdUnderTest:
    from compat.testing import EmbeddedNsqlookupd, MissingProgram, RealNsqlookupd

    if not _wants_real(config):
        return EmbeddedNsqlookupd()
    try:
        return RealNsqlookupd(_folder(config))
    except MissingProgram as error:
        pytest.fail(str(error), pytrace=False)


def _wants_real(config: pytest.Config) -> bool:
    return bool(config.getoption(REAL) or config.getini(REAL))


def _folder(config: pytest.Config) -> str:
    return str(config.getoption(PATH) or config.getini(PATH))
