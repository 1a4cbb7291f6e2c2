"""How long messages take from their publishing to FIN: quantiles over a sliding window (nsqd-behaviour 5).

Latencies are counted by value, rounded to nine significant bits: what is kept is bounded by how far they
spread and not by how many there are, windows of several channels add up exactly, and a quantile is off by
0.2 % at most. (The original samples instead, and is off by 1 % of the rank.)
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

_SIGNIFICANT_BITS = 9

Quantiles = list[dict[str, float]]


class LatencyWindow:
    """The latencies of one channel within the last `window` seconds, kept as two halves that take turns."""

    def __init__(self, window: float, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._half = max(1, round(window * 1e9 / 2))
        self._clock_ns = clock_ns
        self._turned = clock_ns()
        self._now: Counter[int] = Counter()
        self._before: Counter[int] = Counter()

    def record(self, published: Iterable[int]) -> None:
        """Messages published at these times, in ns since the epoch, were finished just now."""
        now = self._clock_ns()
        self._turn(now)
        counts = self._now
        for timestamp in published:
            latency = max(0, now - timestamp)
            shift = latency.bit_length() - _SIGNIFICANT_BITS
            counts[latency if shift <= 0 else latency >> shift << shift] += 1

    def counts(self) -> Counter[int]:
        """How many messages took how long, by latency in ns, rounded down."""
        self._turn(self._clock_ns())
        return self._now + self._before

    def _turn(self, now: int) -> None:
        halves = (now - self._turned) // self._half
        if halves <= 0:
            return
        self._before = self._now if halves == 1 else Counter()
        self._now = Counter()
        self._turned += halves * self._half


def quantiles(counts: Counter[int], percentiles: Sequence[float]) -> Quantiles:
    """The latency in ns at each percentile, in the order given; 0 without any messages."""
    total = sum(counts.values())
    ordered = sorted(counts.items())
    return [{"quantile": each, "value": _at_rank(ordered, math.ceil(each * total))} for each in percentiles]


def _at_rank(ordered: Sequence[tuple[int, int]], rank: int) -> int:
    """The latency of the `rank`th message, counted from 1; the middle of what was rounded to it."""
    seen = 0
    for latency, count in ordered:
        seen += count
        if seen >= rank:
            return latency + (1 << max(0, latency.bit_length() - _SIGNIFICANT_BITS)) // 2
    return 0
