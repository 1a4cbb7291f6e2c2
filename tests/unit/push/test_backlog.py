"""The policy for slow browsers: bounds in bytes and seconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateways.push.backlog import Disconnect
from gateways.push.frame import Burst

BURST = Burst([b"x"])


def test_what_waits_comes_out_in_order() -> None:
    backlog = Disconnect(max_bytes=10, max_age=5.0)
    assert backlog.add(b"12345", BURST, 0.0)
    assert backlog.add(b"67890", BURST, 1.0)
    assert backlog.size == 10
    assert [backlog.take(), backlog.take(), backlog.take()] == [b"12345", b"67890", None]
    assert backlog.size == 0


def test_over_the_bound_the_browser_has_to_go() -> None:
    backlog = Disconnect(max_bytes=10, max_age=5.0)
    assert backlog.add(b"12345", BURST, 0.0)
    assert not backlog.add(b"678901", BURST, 0.0)


def test_when_the_oldest_waits_too_long_the_browser_has_to_go() -> None:
    backlog = Disconnect(max_bytes=10, max_age=5.0)
    assert not backlog.overdue(100.0)
    assert backlog.add(b"1", BURST, 100.0)
    assert backlog.add(b"2", BURST, 104.0)
    assert not backlog.overdue(105.0)
    assert backlog.overdue(105.1)
    assert not backlog.add(b"3", BURST, 105.1)
    backlog.take()
    assert not backlog.overdue(105.1)


def test_what_the_transport_does_not_take_ages_too() -> None:
    backlog = Disconnect(max_bytes=10, max_age=5.0)
    backlog.stall(100.0)
    assert not backlog.overdue(105.0)
    assert backlog.overdue(105.1)
    backlog.stall(105.0)  # it took something, and stalls again
    assert not backlog.overdue(110.0)
    assert backlog.add(b"1", BURST, 107.0)
    assert backlog.overdue(110.1)
    backlog.stall(111.0)
    assert not backlog.overdue(112.0)
    assert backlog.overdue(112.1)


@given(st.lists(st.one_of(st.binary(max_size=8), st.none()), max_size=60))
def test_it_never_holds_more_than_its_bound_and_loses_nothing_it_took(steps: list[bytes | None]) -> None:
    backlog = Disconnect(max_bytes=20, max_age=5.0)
    waiting: list[bytes] = []
    for step in steps:
        if step is None:
            assert backlog.take() == (waiting.pop(0) if waiting else None)
        elif backlog.add(step, BURST, 0.0):
            waiting.append(step)
        assert backlog.size == sum(map(len, waiting)) <= 20
