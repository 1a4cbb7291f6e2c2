"""How fast a sink may be sent to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.pipeline.rate import Rate, RateLimits


def test_one_second_s_worth_goes_at_once_and_the_rest_waits() -> None:
    rate = Rate(RateLimits(events=10))
    rate.spend(0.0, events=10, size=0, requests=1)
    assert rate.delay(0.0) == 0.0
    rate.spend(0.0, events=5, size=0, requests=1)
    assert rate.delay(0.0) == 0.5
    assert rate.delay(0.5) == 0.0


def test_what_is_larger_than_a_second_s_worth_goes_whole_and_is_made_up_for() -> None:
    rate = Rate(RateLimits(bytes=1000))
    rate.spend(0.0, events=1, size=10_000, requests=1)
    assert rate.delay(0.0) == 9.0


def test_the_narrowest_limit_decides() -> None:
    rate = Rate(RateLimits(events=1, bytes=100, requests=0.1))
    rate.spend(0.0, events=2, size=100, requests=1)
    assert rate.delay(0.0) == 9.0
    assert rate.delay(8.5) == pytest.approx(0.5)


def test_an_idle_time_is_not_saved_up() -> None:
    rate = Rate(RateLimits(events=10))
    assert rate.delay(0.0) == 0.0
    rate.spend(1000.0, events=20, size=0, requests=1)
    assert rate.delay(1000.0) == 1.0


def test_without_limits_nothing_waits() -> None:
    rate = Rate(RateLimits())
    rate.spend(0.0, events=10**9, size=10**12, requests=10**6)
    assert rate.delay(0.0) == 0.0


@given(
    per_second=st.floats(0.1, 1000),
    batches=st.lists(st.tuples(st.integers(1, 500), st.floats(0, 3)), min_size=1, max_size=50),
)
def test_never_more_than_the_rate_a_second_s_worth_and_one_batch(
    per_second: float, batches: list[tuple[int, float]]
) -> None:
    rate, now, sent = Rate(RateLimits(events=per_second)), 0.0, 0
    largest = max(count for count, _ in batches)
    for count, pause in batches:
        now += pause
        now += rate.delay(now)
        rate.spend(now, events=count, size=0, requests=1)
        sent += count
        assert sent <= per_second * (now + 1) + largest + 1e-6 * sent
