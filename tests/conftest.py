"""What all tests share: in CI a skip is a failure; how hard property tests try; daemons of both kinds.

`HYPOTHESIS_PROFILE=soak` is what `make soak` sets.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta

import hypothesis
import pytest

from harness.daemons import Daemon, nsqd_of, nsqlookupd_of
from nsqgw.service.log_flood import FloodHandler

hypothesis.settings.register_profile("default", max_examples=100, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("soak", max_examples=20_000, deadline=timedelta(seconds=10))

IN_CI = bool(os.environ.get("CI"))


def pytest_configure() -> None:
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "default"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing may be left out unseen: a test skipped for a missing component fails."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be missing: {reason}"
    return report


@pytest.fixture(scope="session", params=["compat", pytest.param("real", marks=pytest.mark.real)])
def kind(request: pytest.FixtureRequest) -> str:
    """Whose daemons a scene runs on: ours, or the originals."""
    return str(request.param)


@pytest.fixture(scope="session")
def broker(kind: str) -> Iterator[Daemon]:
    """One nsqd for all scenes that only use topics of their own; it scans every channel at every tick."""
    daemon = nsqd_of(kind)(queue_scan_selection_count=1000)
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def start_nsqd(kind: str) -> Iterator[Callable[..., Daemon]]:
    """Starts an nsqd of its own with the flags given, by name: `start_nsqd(msg_timeout=1.0)`."""
    with contextlib.ExitStack() as running:
        yield lambda **flags: _started(running, nsqd_of(kind)(**flags))


@pytest.fixture
def start_nsqlookupd(kind: str) -> Iterator[Callable[..., Daemon]]:
    """Starts an nsqlookupd with the flags given."""
    with contextlib.ExitStack() as running:
        yield lambda **flags: _started(running, nsqlookupd_of(kind)(**flags))


def _started(running: contextlib.ExitStack, daemon: Daemon) -> Daemon:
    daemon.start()
    running.callback(daemon.close)
    return daemon


@pytest.fixture(autouse=True)
def logging_stays() -> Iterator[None]:
    """A command that is run inside a test configures logging: not for the tests behind it."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in root.handlers[:]:
        if type(handler) in (logging.StreamHandler, FloodHandler):  # pytest's own are of other subclasses
            root.removeHandler(handler)
