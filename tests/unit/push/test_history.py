"""The ring: what a browser that comes back gets, exactly, or is told is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.push.history import OLDEST, History, HistoryLimits


def history(**limits: float) -> History:
    return History("t", "e", HistoryLimits(**limits))  # type: ignore[arg-type]


def test_everything_after_a_position() -> None:
    ring = history()
    one, two, three = ring.append([b"1", b"2", b"3"], 0.0)
    assert (one.position, ring.position) == ("e-1", "e-3")
    replay = ring.since(one.position, 0.0)
    assert (replay.frames, replay.gap, replay.position) == ((two, three), False, "e-3")
    assert ring.since(ring.position, 0.0).frames == ()
    assert ring.since(OLDEST, 0.0).frames == (one, two, three)
    assert ring.since("e-0", 0.0).frames == (one, two, three)


@pytest.mark.parametrize(
    "position", ["", "e", "e-", "e-4", "f-1", "e--1", "E-1", "e-1 ", "e-\u0661", "e-" + "9" * 30]
)
def test_a_forged_or_foreign_position_is_a_gap(position: str) -> None:
    ring = history()
    frames = ring.append([b"1", b"2", b"3"], 0.0)
    replay = ring.since(position, 0.0)
    assert replay.gap
    assert replay.frames == frames


def test_age_takes_messages_away_though_nothing_comes() -> None:
    ring = history(max_age=10.0)
    first = ring.append([b"1"], 0.0)[-1]
    second = ring.append([b"2"], 5.0)[-1]
    assert not ring.since("e-0", 10.0).gap
    replay = ring.since("e-0", 11.0)
    assert (replay.frames, replay.gap) == ((second,), True)
    assert ring.since(first.position, 11.0).gap is False


@given(
    st.lists(st.lists(st.binary(max_size=20), max_size=5), max_size=30),
    st.integers(1, 20),
    st.integers(1, 100),
    st.integers(0, 160),
)
def test_a_replay_is_complete_or_says_that_it_is_not(
    bursts: list[list[bytes]], max_messages: int, max_bytes: int, asked: int
) -> None:
    ring = history(max_messages=max_messages, max_bytes=max_bytes)
    bodies: list[bytes] = []
    for burst in bursts:
        ring.append(burst, 0.0)
        bodies += burst
    replay = ring.since(f"e-{asked}", 0.0)
    got = [frame.body for frame in replay.frames]
    assert len(got) <= max_messages
    assert sum(map(len, got)) <= max_bytes
    assert got == bodies[len(bodies) - len(got) :]
    if asked <= len(bodies):
        assert replay.gap == (got != bodies[asked:])
    else:
        assert replay.gap
