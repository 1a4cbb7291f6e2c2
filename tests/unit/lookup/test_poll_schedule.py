"""When nsqlookupd is asked, with a clock turned by hand."""

from __future__ import annotations

import pytest

from nsqgw.lookup.schedule import PollSchedule


def polled(schedule: PollSchedule, now: float, answered: bool = True) -> None:
    schedule.poll_started(now)
    schedule.poll_ended(now, answered)


def test_the_first_poll_is_due_at_once() -> None:
    assert PollSchedule(60, 0.3).due(1000.0) == 0


def test_jitter_puts_off_the_second_poll_once() -> None:
    schedule = PollSchedule(60, 0.3, uniform=lambda: 0.5)
    polled(schedule, 1000.0)
    assert schedule.due(1000.0) == pytest.approx(60 * 1.15)
    polled(schedule, 1069.0)
    assert schedule.due(1069.0) == 60


def test_a_poke_asks_at_once_and_leaves_the_rhythm_alone() -> None:
    schedule = PollSchedule(60, 0)
    polled(schedule, 0.0)
    schedule.poke()
    assert schedule.due(30.0) == 0
    polled(schedule, 30.0)
    assert schedule.due(30.0) == 30


def test_pokes_never_ask_twice_within_the_shortest_gap() -> None:
    schedule = PollSchedule(60, 0, shortest_gap=2.0)
    polled(schedule, 0.0)
    schedule.poke()
    schedule.poke()
    assert schedule.due(0.5) == 1.5
    polled(schedule, 2.0)
    assert schedule.due(2.0) == 58


def test_a_poke_during_a_poll_is_not_lost() -> None:
    schedule = PollSchedule(60, 0)
    schedule.poll_started(0.0)
    schedule.poke()
    schedule.poll_ended(5.0, True)
    assert schedule.due(5.0) == 0


def test_while_nobody_answers_pauses_double_up_to_the_interval() -> None:
    schedule = PollSchedule(6, 0, shortest_gap=1.0)
    pauses = []
    now = 0.0
    for _ in range(5):
        polled(schedule, now, answered=False)
        pauses.append(schedule.due(now))
        now += pauses[-1]
    assert pauses[:2] == [1, 2]
    assert all(0 < pause <= 6 for pause in pauses)
    polled(schedule, now, answered=True)
    polled(schedule, now + 6, answered=False)
    assert schedule.due(now + 6) == 1


def test_a_blocked_loop_is_no_reason_to_catch_up() -> None:
    schedule = PollSchedule(10, 0)
    polled(schedule, 0.0)
    polled(schedule, 95.0)
    assert schedule.due(95.0) == 10
