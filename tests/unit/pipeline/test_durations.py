"""The histogram of tries."""

from __future__ import annotations

from gateways.pipeline.durations import Durations


def test_each_bound_counts_what_took_at_most_so_long() -> None:
    durations = Durations()
    for seconds in (0.005, 0.006, 3.0, 1000.0):
        durations.add(seconds)
    buckets = dict(durations.up_to_bounds())
    assert (buckets["0.005"], buckets["0.01"], buckets["2.5"], buckets["5.0"], buckets["+Inf"]) == (
        1,
        2,
        2,
        3,
        4,
    )
    assert durations.total == 1003.011
