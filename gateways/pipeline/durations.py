"""How long tries took, in classes: cheap to count, and a histogram when somebody asks."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the classes, in seconds; the last class has none."""


class Durations:
    """`total` is the sum of all, in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """One more try."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def up_to_bounds(self) -> list[tuple[str, int]]:
        """Each bound as Prometheus writes it, and how many took at most so long; `+Inf` counts all."""
        buckets: list[tuple[str, int]] = []
        count = 0
        for bound, more in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            count += more
            buckets.append((bound, count))
        return buckets
