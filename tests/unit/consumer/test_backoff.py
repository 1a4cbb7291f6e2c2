"""Backoff by examples; the rules in general are in properties/test_backoff_properties.py."""

from __future__ import annotations

from nsqgw.consumer.backoff import Backoff, Pace, Pause, Resume


def test_c_cli_12_the_first_failure_pauses_for_two_units() -> None:
    backoff = Backoff(1.0, 120.0)
    assert backoff.failed() == Pause(2.0)
    assert backoff.pace is Pace.PAUSED
    backoff.expired()
    assert backoff.pace is Pace.PROBING


def test_c_cli_13_level_by_level_in_and_out() -> None:
    backoff = Backoff(1.0, 120.0)
    outcomes = []
    for step in ("failed", "failed", "failed", "succeeded", "succeeded", "succeeded"):
        outcomes.append(getattr(backoff, step)())
        backoff.expired()
    assert outcomes == [Pause(2.0), Pause(4.0), Pause(8.0), Pause(4.0), Pause(2.0), Resume()]
    assert backoff.pace is Pace.FULL


def test_c_cli_14_a_burst_counts_once() -> None:
    backoff = Backoff()
    assert [backoff.failed() for _ in range(10)] == [Pause(2.0)] + [None] * 9
    assert backoff.level == 1


def test_successes_during_a_pause_are_leftovers() -> None:
    backoff = Backoff()
    backoff.failed()
    assert backoff.succeeded() is None
    assert backoff.level == 1


def test_the_longest_pause_is_reached_and_kept() -> None:
    backoff = Backoff(1.0, 120.0)
    pauses = []
    for _ in range(9):
        outcome = backoff.failed()
        assert outcome is not None
        pauses.append(outcome.duration)
        backoff.expired()
    assert pauses == [2, 4, 8, 16, 32, 64, 120, 120, 120]


def test_successes_at_full_speed_say_nothing() -> None:
    assert Backoff().succeeded() is None
