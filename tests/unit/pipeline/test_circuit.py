"""When the consumers are to be left without messages for a sink's sake, and when no more."""

from __future__ import annotations

from gateways.pipeline.circuit import FAILURES_IN_A_ROW, WINDOW, Circuit
from gateways.pipeline.retry import RetryPolicy


def circuit() -> Circuit:
    return Circuit(RetryPolicy(initial=1.0, factor=2.0, cap=10.0), lambda: 1.0)


def test_it_opens_after_five_failures_in_a_row() -> None:
    subject = circuit()
    for now in range(FAILURES_IN_A_ROW):
        assert not subject.is_open
        subject.failed(float(now), float(now))
    assert subject.is_open
    assert subject.failing


def test_batches_that_fail_together_are_one_failure() -> None:
    subject = circuit()
    news = [subject.failed(started=0.0, now=1.0 + number) for number in range(8)]
    assert news == [True] + [False] * 7
    assert not subject.is_open


def test_it_opens_when_half_of_the_last_tries_failed() -> None:
    subject = circuit()
    for number in range(WINDOW // 2):
        assert not subject.is_open
        subject.succeeded(started=2.0 * number)
        subject.failed(started=2.0 * number + 1, now=2.0 * number + 1)
    assert subject.is_open


def test_it_opens_at_once_when_a_person_has_to_act() -> None:
    subject = circuit()
    subject.failed(0.0, 0.0, blocked=True)
    assert subject.is_open


def test_one_success_closes_it_and_the_past_is_forgotten() -> None:
    subject = circuit()
    for now in range(WINDOW):
        subject.failed(float(now), float(now))
    subject.succeeded(started=100.0)
    assert not subject.is_open
    assert not subject.failing
    subject.failed(101.0, 101.0)
    assert not subject.is_open
    assert subject.delay(101.0) == 1.0


def test_a_success_from_before_the_failure_does_not_close_it() -> None:
    subject = circuit()
    subject.failed(0.0, 5.0, blocked=True)
    subject.succeeded(started=4.0)
    assert subject.is_open
