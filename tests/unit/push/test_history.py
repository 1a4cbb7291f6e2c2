"""The ring: what a browser that comes back gets, exactly, or is told is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.push.entry import Entry
from gateways.push.frame import Frame
from gateways.push.history import History, HistoryLimits, Numbering
from gateways.push.position import OLDEST
from harness.entries import entries

SECOND = 10**9


class Ring(History):
    """A history that numbers what it is given."""

    def __init__(self, **limits: float) -> None:
        self.numbering = Numbering("e")
        super().__init__(self.numbering, HistoryLimits(**limits))  # type: ignore[arg-type]

    def take(self, given: list[Entry], now: float = 0.0) -> tuple[Frame, ...]:
        frames = tuple(self.numbering.frame("c", entry) for entry in given)
        self.append(frames, now)
        return frames


def test_everything_after_a_position() -> None:
    ring = Ring()
    one, two, three = ring.take(entries(b"1", b"2", b"3"))
    assert ring.position == three.position
    replay = ring.since(one.position, 0.0)
    assert (replay.frames, replay.gap, replay.position) == ((two, three), False, three.position)
    assert replay.start == one.position
    assert ring.since(ring.position, 0.0).frames == ()
    assert ring.since(OLDEST, 0.0).frames == (one, two, three)
    assert ring.since(ring.since(OLDEST, 0.0).start, 0.0).frames == (one, two, three)


@pytest.mark.parametrize(
    "position", ["", "e", "e-", "e-4", "e--1", "E-1", "e-1 ", "e-\u0661", "e-" + "9" * 30, "e-1-xyz"]
)
def test_a_forged_position_is_a_gap(position: str) -> None:
    ring = Ring()
    frames = ring.take(entries(b"1", b"2", b"3"))
    replay = ring.since(position, 0.0)
    assert replay.gap
    assert replay.frames == frames


def test_age_takes_messages_away_though_nothing_comes() -> None:
    ring = Ring(max_age=10.0)
    before = ring.position
    [first] = ring.take(entries(b"1"))
    [second] = ring.take(entries(b"2"), 5.0)
    assert not ring.since(before, 10.0).gap
    replay = ring.since(before, 11.0)
    assert (replay.frames, replay.gap) == ((second,), True)
    assert ring.since(first.position, 11.0).gap is False


def test_a_position_of_another_process_is_found_by_time_with_an_overlap() -> None:
    here, there = Ring(overlap=2.0), Ring()
    there.numbering.epoch = "f"
    given = [entries(b"%d" % second, timestamp=second * SECOND)[0] for second in range(1, 9)]
    here.take(given)
    frames = there.take(given)
    replay = here.since(frames[5].position, 0.0)  # of second 6
    assert [frame.body for frame in replay.frames] == [b"4", b"5", b"7", b"8"]
    assert not replay.gap


def test_a_ring_that_does_not_reach_back_far_enough_is_a_gap() -> None:
    here, there = Ring(max_messages=3, overlap=2.0), Ring()
    there.numbering.epoch = "f"
    given = [entries(b"%d" % second, timestamp=second * SECOND)[0] for second in range(1, 9)]
    here.take(given)
    frames = there.take(given)
    assert here.since(frames[7].position, 0.0).gap is False  # of second 8: 6 to 8 are kept
    assert here.since(frames[6].position, 0.0).gap is True  # of second 7: 5 may have come here only


def test_the_last_message_is_known_though_it_is_kept_no_longer() -> None:
    here, there = Ring(max_age=10.0), Ring()
    there.numbering.epoch = "f"
    given = entries(b"1")
    here.take(given)
    [frame] = there.take(given)
    assert here.since(frame.position, 100.0).gap is False


def test_a_young_process_does_not_know_what_was_before_it() -> None:
    young, old = Ring(), Ring()
    old.numbering.epoch = "f"
    [frame] = old.take(entries(b"1", timestamp=100 * SECOND))
    young.tear(0, 99 * SECOND)
    assert young.since(frame.position, 0.0).gap is True  # 98 to 99 may be missing
    young = Ring()
    young.tear(0, 50 * SECOND)
    assert young.since(frame.position, 0.0).gap is False


def test_after_a_tear_positions_from_before_it_are_a_gap() -> None:
    ring = Ring()
    [before] = ring.take(entries(b"1"))
    ring.tear(ring.numbering.skip(), 0)
    [after] = ring.take(entries(b"2"))
    replay = ring.since(before.position, 0.0)
    assert (replay.frames, replay.gap) == ((after,), True)
    assert ring.since(after.position, 0.0).gap is False


@given(
    st.lists(st.lists(st.binary(max_size=20), max_size=5), max_size=30),
    st.integers(1, 20),
    st.integers(1, 100),
    st.integers(0, 160),
)
def test_a_replay_is_complete_or_says_that_it_is_not(
    bursts: list[list[bytes]], max_messages: int, max_bytes: int, asked: int
) -> None:
    ring = Ring(max_messages=max_messages, max_bytes=max_bytes)
    bodies: list[bytes] = []
    for burst in bursts:
        ring.take(entries(*burst))
        bodies += burst
    replay = ring.since(f"e-{asked}-{2**63:016x}", 0.0)
    got = [frame.body for frame in replay.frames]
    assert len(got) <= max_messages
    assert sum(map(len, got)) <= max_bytes
    if asked <= len(bodies):
        assert got == bodies[len(bodies) - len(got) :]
        assert replay.gap == (got != bodies[asked:])
