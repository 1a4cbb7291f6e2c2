"""Histograms of tries, batches and ages."""

from __future__ import annotations

import pytest

from gateways.pipeline.gone import Gone
from gateways.pipeline.histogram import EVENTS, LATENCY_SECONDS, Histogram
from nsqgw.message import Message

NOW = 1_770_000_000 * 10**9


def aged(*seconds: float) -> list[Message]:
    origin = Gone("t", "c", "nsqd:4150")
    return [Message(NOW - int(each * 1e9), 1, b"0" * 16, b"", origin) for each in seconds]


def test_each_bound_counts_what_is_at_most_that() -> None:
    tries = Histogram()
    for seconds in (0.005, 0.006, 3.0, 1000.0):
        tries.add(seconds)
    buckets = dict(tries.up_to_bounds())
    assert [buckets[bound] for bound in ("0.005", "0.01", "2.5", "5.0", "+Inf")] == [1, 2, 2, 3, 4]
    assert tries.total == 1003.011


def test_bounds_are_chosen() -> None:
    events = Histogram(EVENTS)
    events.add(500)
    buckets = dict(events.up_to_bounds())
    assert (buckets["250.0"], buckets["500.0"]) == (0, 1)


@pytest.mark.parametrize("ages", [(0.2, 0.3, 0.15), (0.2, 0.3, 8000.0), (0.11,), (-5.0, -0.5)])
def test_ages_count_as_one_by_one(ages: tuple[float, ...]) -> None:
    together, apart = Histogram(LATENCY_SECONDS), Histogram(LATENCY_SECONDS)
    together.add_ages(aged(*ages), NOW)
    for age in ages:
        apart.add(max(0.0, age))
    assert together.counts == apart.counts
    assert together.total == pytest.approx(apart.total)
