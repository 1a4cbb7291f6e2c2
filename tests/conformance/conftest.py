"""Names for the scenes: each has topics of its own on the shared nsqd, gone when it ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from harness.certificates import Certificates, make_certificates
from harness.daemons import Daemon
from harness.http import post
from harness.wire import Wire

_numbers = itertools.count(1)

OLD_CHANNELS = 16


@pytest.fixture
def new_topic(broker: Daemon) -> Iterator[Callable[[], str]]:
    """Makes names of topics nobody used before."""
    names: list[str] = []

    def make() -> str:
        names.append(f"scene-{next(_numbers)}")
        return names[-1]

    yield make
    for name in names:
        post(broker.http_address, f"/topic/delete?topic={name}")


@pytest.fixture
def topic(new_topic: Callable[[], str]) -> str:
    return new_topic()


@pytest.fixture(scope="session")
def old_topics(broker: Daemon) -> list[str]:
    """Topics with a channel `ch` made early: nsqd notices new ones every 5 s only."""
    names = [f"old-{number}" for number in range(OLD_CHANNELS)]
    for name in names:
        post(broker.http_address, f"/topic/create?topic={name}")
        post(broker.http_address, f"/channel/create?topic={name}&channel=ch")
    return names


@pytest.fixture
def old_topic(broker: Daemon, old_topics: list[str]) -> Iterator[str]:
    """A topic whose channel `ch` nsqd already scans for timeouts and deferred messages."""
    name = old_topics.pop()
    yield name
    post(broker.http_address, f"/topic/delete?topic={name}")


@pytest.fixture
def connect(broker: Daemon) -> Iterator[Callable[..., Wire]]:
    """Opens raw connections to the shared nsqd."""
    opened: list[Wire] = []

    def make(*arguments: bytes) -> Wire:
        opened.append(Wire(broker.tcp_address, *arguments))
        return opened[-1]

    yield make
    for wire in opened:
        wire.close()


@pytest.fixture
def wire(connect: Callable[..., Wire]) -> Wire:
    return connect()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def start_tls(start_nsqd: Callable[..., Daemon], certificates: Certificates) -> Callable[..., Daemon]:
    """Starts an nsqd with a certificate and the flags given."""
    files = {"tls_cert": certificates.server, "tls_key": certificates.server_key}
    return lambda **flags: start_nsqd(**files, **flags)
