"""/debug: what both have, and what ours says where Go's profiles have no counterpart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.daemons import Daemon
from harness.http import call, get


@pytest.fixture
def daemons(broker: Daemon, start_nsqlookupd: Callable[..., Daemon]) -> tuple[Daemon, Daemon]:
    return broker, start_nsqlookupd()


@pytest.mark.parametrize("path", ["cmdline", "goroutine", "heap", "threadcreate", "profile?seconds=1"])
def test_profiles_are_there(daemons: tuple[Daemon, Daemon], path: str) -> None:
    for daemon in daemons:
        answer = get(daemon.http_address, f"/debug/pprof/{path}")
        assert (answer.status, bool(answer.body)) == (200, True)
        assert "x-nsq-content-type" not in answer.headers


def test_what_is_no_profile_is_404(daemons: tuple[Daemon, Daemon]) -> None:
    for daemon in daemons:
        assert get(daemon.http_address, "/debug/pprof/nonsense").status == 404


def test_block_rate_must_be_a_number(broker: Daemon) -> None:
    answer = call(broker.http_address, "PUT", "/debug/setblockrate?rate=x")
    assert answer.status == 400
    assert answer.body.startswith(b"invalid block rate : ")
    assert "x-nsq-content-type" not in answer.headers


def test_what_ours_shows(kind: str, broker: Daemon) -> None:
    if kind == "real":
        return
    show = lambda path: get(broker.http_address, f"/debug/pprof/{path}").body.decode()  # noqa: E731
    assert "/debug/pprof/heap\n" in show("")
    assert get(broker.http_address, "/debug/pprof").headers["location"] == "/debug/pprof/"
    assert "thread MainThread:" in show("goroutine")
    assert "heap_objects\t" in show("heap")
    assert "tottime" in show("profile?seconds=1")
    for seconds in ("soon", "0", "301", "9" * 5000):
        assert get(broker.http_address, f"/debug/pprof/profile?seconds={seconds}").status == 400
    assert call(broker.http_address, "PUT", "/debug/setblockrate?rate=1").body.startswith(b"no effect")
    assert call(broker.http_address, "POST", "/debug/freememory").body.startswith(b"collected ")
