"""Concurrency that adapts: always within its bounds, up when all is well, down when it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.pipeline.concurrency import Concurrency

ANSWERS = st.lists(st.one_of(st.none(), st.floats(0.001, 60.0)), max_size=300)
"""Seconds of a try that passed; None for one that failed."""


def tell(subject: Concurrency, answer: float | None, crowded: bool = True) -> None:
    if answer is None:
        subject.failed()
    else:
        subject.succeeded(answer, crowded)


@given(st.integers(1, 64), st.integers(1, 64), ANSWERS)
def test_the_limit_stays_within_its_bounds(start: int, most: int, answers: list[float | None]) -> None:
    start = min(start, most)
    subject = Concurrency(start, most)
    for answer in answers:
        tell(subject, answer)
        assert 1 <= subject.limit <= most


@given(st.integers(1, 64), ANSWERS)
def test_a_fixed_number_stays(number: int, answers: list[float | None]) -> None:
    subject = Concurrency(number, number)
    for answer in answers:
        tell(subject, answer)
        assert subject.limit == number


@given(st.integers(1, 8), st.floats(0.001, 10.0))
def test_even_answers_raise_it_to_the_most(start: int, seconds: float) -> None:
    subject = Concurrency(start, 16)
    for _ in range(16 * 16):
        subject.succeeded(seconds, crowded=True)
    assert subject.limit == 16


@given(ANSWERS)
def test_a_limit_that_nobody_reaches_does_not_grow(answers: list[float | None]) -> None:
    subject = Concurrency(4, 64)
    for answer in answers:
        before = subject.limit
        tell(subject, answer, crowded=False)
        assert subject.limit <= before


@given(st.integers(1, 64), st.integers(0, 300))
def test_a_failure_begins_again_with_one(most: int, successes: int) -> None:
    subject = Concurrency(1, most + 1)
    for _ in range(successes):
        subject.succeeded(0.1, crowded=True)
    subject.failed()
    assert subject.limit == 1


def test_after_a_failure_it_doubles_a_round_until_half_of_before_and_then_creeps() -> None:
    subject = Concurrency(32, 64)
    subject.failed()
    rounds = []
    for _ in range(6):
        for _ in range(subject.limit):
            subject.succeeded(0.1, crowded=True)
        rounds.append(subject.limit)
    assert rounds[:4] == [2, 4, 8, 16]
    assert rounds[4:] in ([16, 17], [17, 18], [16, 18])


@pytest.mark.parametrize("rounds", [1, 5])
def test_slow_answers_lower_it_once_a_round(rounds: int) -> None:
    subject = Concurrency(20, 64)
    for _ in range(50):
        subject.succeeded(0.1, crowded=False)
    assert subject.limit == 20
    slow = 10.0
    for number in range(rounds):
        for _ in range(subject.limit):
            subject.succeeded(slow, crowded=True)
        assert subject.limit >= 20 * 0.9 ** (number + 1) - 1
        slow *= 10
    assert subject.limit < 20
