"""Values in classes: cheap to count, and a histogram when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from nsqgw.message import Message

TRY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LATENCY_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
EVENTS = (1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)
BYTES = (1e3, 1e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7)


class Histogram:
    """`bounds` are the upper bounds of the classes; the last class has none. `total` is the sum of all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = TRY_SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_ages(self, messages: Sequence[Message], now_ns: int) -> None:
        """How old each is, in seconds, since nsqd took it; none is younger than 0, whatever the clocks say.

        Messages of a batch are of about the same age: as a rule one class takes them all.
        """
        stamps = [message.timestamp for message in messages]
        oldest, newest = (max(0.0, (now_ns - stamp) / 1e9) for stamp in (min(stamps), max(stamps)))
        first = bisect_left(self.bounds, newest)
        if first == bisect_left(self.bounds, oldest):
            self.counts[first] += len(stamps)
            self.total += max(0.0, (now_ns * len(stamps) - sum(stamps)) / 1e9)
            return
        for stamp in stamps:
            self.add(max(0.0, (now_ns - stamp) / 1e9))

    def up_to_bounds(self) -> list[tuple[str, int]]:
        """Each bound as Prometheus writes it, and how many are at most that; `+Inf` counts all."""
        buckets: list[tuple[str, int]] = []
        count = 0
        for bound, more in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            count += more
            buckets.append((bound, count))
        return buckets
