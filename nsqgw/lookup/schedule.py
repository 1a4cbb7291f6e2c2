"""When to ask nsqlookupd again: pure policy, fed with clock readings in seconds.

At once; then, put off once by a random part of an interval so that a thousand consumers started together
do not ask together, every interval. A poke asks sooner, but never twice within the shortest gap. While no
nsqlookupd answers at all the pauses start short and double up to the interval.
"""

from __future__ import annotations

import random
from collections.abc import Callable

SHORTEST_GAP = 1.0
"""Seconds between the starts of two polls that are not due by the interval."""


class PollSchedule:
    """`jitter` is the part of `interval` by which the second poll may be put off; `uniform` gives 0 to 1."""

    def __init__(
        self,
        interval: float,
        jitter: float,
        shortest_gap: float = SHORTEST_GAP,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._interval = interval
        self._first_delay = interval * (1 + jitter * uniform())
        self._gap = min(shortest_gap, interval)
        self._retry_pause = self._gap
        self._started: float | None = None
        self._regular = 0.0
        self._retry: float | None = None
        self._poked = False

    def due(self, now: float) -> float:
        """Seconds from `now` until the next poll; 0 when it is due."""
        if self._started is None:
            return 0.0
        times = [self._regular]
        if self._retry is not None:
            times.append(self._retry)
        if self._poked:
            times.append(self._started + self._gap)
        return max(0.0, min(times) - now)

    def poke(self) -> None:
        """Something happened that makes asking again worth while."""
        self._poked = True

    def poll_started(self, now: float) -> None:
        """A poll begins; pokes before it are served by it."""
        if self._started is None:
            self._regular = now + self._first_delay
        elif now >= self._regular:
            self._regular = now + self._interval
        self._started = now
        self._poked = False

    def poll_ended(self, now: float, answered: bool) -> None:
        """The poll is over; `answered` tells whether at least one nsqlookupd did answer."""
        if answered:
            self._retry = None
            self._retry_pause = self._gap
        else:
            self._retry = now + self._retry_pause
            self._retry_pause = min(self._retry_pause * 2, self._interval)
