"""Backoff against a plain model of its rules (C-CLI-12 to C-CLI-16)."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from nsqgw.consumer.backoff import Backoff, Pace, Pause, Resume

events = st.lists(st.sampled_from(["failed", "succeeded", "expired"]), max_size=200)
multipliers = st.floats(0.001, 100)
maxima = st.floats(0.001, 3600)


@given(events, multipliers, maxima)
def test_levels_and_pauses(happened: list[str], multiplier: float, longest: float) -> None:
    backoff = Backoff(multiplier, longest)
    for event in happened:
        level, pace = backoff.level, backoff.pace
        outcome = getattr(backoff, event)()
        if event == "expired":
            assert outcome is None
            assert backoff.level == level
            assert backoff.pace is (Pace.PROBING if pace is Pace.PAUSED else pace)
        elif pace is Pace.PAUSED or (event == "succeeded" and pace is Pace.FULL):
            assert (outcome, backoff.level, backoff.pace) == (None, level, pace)
        elif isinstance(outcome, Resume):
            assert (event, level, backoff.level, backoff.pace) == ("succeeded", 1, 0, Pace.FULL)
        else:
            assert isinstance(outcome, Pause)
            assert backoff.pace is Pace.PAUSED
            assert 0 < outcome.duration <= longest
            assert outcome.duration == min(multiplier * 2**backoff.level, longest)
            assert backoff.level in ((level, level + 1) if event == "failed" else (level - 1,))
        assert (backoff.level == 0) == (backoff.pace is Pace.FULL)


@given(st.integers(1, 50), multipliers, maxima)
def test_n_failing_probes_need_as_many_good_ones_as_levels(
    failures: int, multiplier: float, longest: float
) -> None:
    backoff = Backoff(multiplier, longest)
    pauses = []
    for _ in range(failures):
        outcome = backoff.failed()
        assert outcome is not None
        pauses.append(outcome.duration)
        backoff.expired()
    assert pauses == sorted(pauses)
    assert len(set(pauses)) == backoff.level, "each level has its own pause, the longest is the cap"
    successes = 0
    while backoff.pace is Pace.PROBING:
        successes += 1
        backoff.succeeded()
        backoff.expired()
    assert successes == len(set(pauses))
    assert backoff.pace is Pace.FULL


@given(st.integers(1, 100))
def test_failures_that_arrive_together_count_once(burst: int) -> None:
    backoff = Backoff(1.0, 120.0)
    assert backoff.failed() == Pause(2.0)
    assert [backoff.failed() for _ in range(burst)] == [None] * burst
    assert backoff.level == 1


@given(events)
def test_a_longest_pause_of_zero_switches_it_off(happened: list[str]) -> None:
    backoff = Backoff(1.0, 0.0)
    assert [getattr(backoff, event)() for event in happened] == [None] * len(happened)
    assert backoff.pace is Pace.FULL


def test_a_multiplier_of_zero_never_overflows() -> None:
    backoff = Backoff(0.0, 120.0)
    for _ in range(3000):
        backoff.failed()
        backoff.expired()
    assert backoff.level <= 1
