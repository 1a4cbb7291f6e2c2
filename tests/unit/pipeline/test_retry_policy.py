"""Backoff shared per endpoint, Retry-After, and the delay of messages given back."""

from __future__ import annotations

import pytest

from gateways.pipeline.retry import Backoff, RetryPolicy, requeue_delay

POLICY = RetryPolicy(initial=1.0, factor=2.0, cap=10.0, max_retry_after=60.0)


def backoff(chance: float = 1.0) -> Backoff:
    return Backoff(POLICY, lambda: chance)


def test_pauses_double_up_to_the_cap() -> None:
    subject = backoff()
    pauses = []
    now = 0.0
    for _ in range(6):
        subject.failed(started=now, now=now)
        pauses.append(subject.delay(now))
        now += pauses[-1]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_jitter_takes_any_part_of_the_pause() -> None:
    subject = backoff(chance=0.25)
    subject.failed(started=0.0, now=0.0)
    assert subject.delay(0.0) == 0.25


def test_tries_that_were_under_way_together_count_as_one_failure() -> None:
    subject = backoff()
    for ended in (5.0, 5.1, 5.2):
        subject.failed(started=1.0, now=ended)
    assert subject.delay(5.2) == pytest.approx(0.8)
    subject.failed(started=6.0, now=6.0)
    assert subject.delay(6.0) == 2.0


def test_a_success_ends_the_pause_and_starts_over() -> None:
    subject = backoff()
    subject.failed(started=0.0, now=0.0)
    subject.failed(started=1.0, now=1.0)
    subject.succeeded(started=3.0)
    assert not subject.failing
    assert subject.delay(1.0) == 0.0
    subject.failed(started=2.0, now=2.0)
    assert subject.delay(2.0) == 1.0


def test_a_success_from_before_the_failure_says_nothing_about_now() -> None:
    subject = backoff()
    subject.failed(started=0.0, now=5.0, retry_after=30.0)
    subject.succeeded(started=4.0)
    assert subject.failing
    assert subject.delay(5.0) == 30.0


@pytest.mark.parametrize(("asked", "waited"), [(30.0, 30.0), (0.0, 0.0), (3600.0, 60.0), (-5.0, 0.0)])
def test_retry_after_replaces_the_pause_within_its_cap(asked: float, waited: float) -> None:
    subject = backoff()
    subject.failed(started=0.0, now=0.0, retry_after=asked)
    assert subject.failing
    assert subject.delay(0.0) == waited


def test_ten_thousand_failures_do_not_overflow() -> None:
    subject = backoff()
    for now in range(10_000):
        subject.failed(started=now, now=now)
    assert subject.delay(9_999) == 10.0


@pytest.mark.parametrize(
    ("attempts", "chance", "delay"),
    [
        (1, 0.0, 15.0),
        (1, 1.0, 30.0),
        (2, 1.0, 60.0),
        (7, 1.0, 1920.0),
        (8, 1.0, 3600.0),
        (65535, 0.0, 1800.0),
    ],
)
def test_messages_come_back_later_with_each_attempt(attempts: int, chance: float, delay: float) -> None:
    assert requeue_delay(attempts, lambda: chance) == delay
