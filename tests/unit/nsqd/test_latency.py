"""Latency windows: what is counted, for how long, and how near the quantiles come."""

from __future__ import annotations

from collections import Counter

import pytest

from compat.nsqd.latency import LatencyWindow, quantiles

SECOND = 10**9


class Clock:
    """Time in ns that a test turns."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_quantiles_are_near_and_in_the_order_asked(clock: Clock) -> None:
    window = LatencyWindow(10.0, clock)
    window.record(clock.now - each * 1_000_003 for each in range(1, 1001))
    found = quantiles(window.counts(), (1.0, 0.99, 0.5))
    assert [each["quantile"] for each in found] == [1.0, 0.99, 0.5]
    expected = [1000 * 1_000_003, 990 * 1_000_003, 500 * 1_000_003]
    assert [each["value"] for each in found] == pytest.approx(expected, rel=0.002)


def test_small_values_are_exact_and_a_clock_that_stepped_back_gives_0(clock: Clock) -> None:
    window = LatencyWindow(10.0, clock)
    window.record([clock.now - 300, clock.now - 300, clock.now + 5])
    assert window.counts() == Counter({300: 2, 0: 1})


def test_what_is_older_than_the_window_is_gone_by_halves(clock: Clock) -> None:
    window = LatencyWindow(10.0, clock)
    window.record([clock.now - 1])
    clock.now += 5 * SECOND
    window.record([clock.now - 2])
    assert window.counts() == Counter({1: 1, 2: 1})
    clock.now += 5 * SECOND
    assert window.counts() == Counter({2: 1})
    clock.now += 60 * SECOND
    assert window.counts() == Counter()


def test_memory_is_bounded_by_the_spread_of_values(clock: Clock) -> None:
    window = LatencyWindow(10.0, clock)
    window.record(clock.now - each * 997 for each in range(50_000))
    assert len(window.counts()) < 27 * 256
    assert sum(window.counts().values()) == 50_000


def test_without_messages_all_quantiles_are_0() -> None:
    assert quantiles(Counter(), (0.5,)) == [{"quantile": 0.5, "value": 0}]
