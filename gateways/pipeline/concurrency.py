"""How many batches are on their way to one endpoint at once: pure, fed with what became of each try.

Additive increase, multiplicative decrease, as TCP does it. From a bad start the number doubles with each
round trip until half of where it was when things went wrong, then it grows by one a round trip. Answers that
take much longer than before say that the endpoint is at its limit: more at once would only wait longer.
"""

from __future__ import annotations

_GENTLE = 0.9
"""What is left when answers become slow."""

_ALPHA = 0.2
"""Weight of the newest round trip in their mean and deviation."""

_TOLERANCE = 2.5
"""Deviations above the mean at which a round trip counts as slow."""

_FLOOR = 0.1
"""Part of the mean that is always tolerated: on a quiet link the deviation is next to nothing."""


class Concurrency:
    """The limit for one endpoint, from 1 to `most`, beginning at `start`; with both equal it is fixed."""

    def __init__(self, start: int, most: int) -> None:
        self._fixed = start >= most
        self._start = start
        self._most = float(most)
        self._exact = float(start)
        self._threshold = float(start)
        self._mean = 0.0
        self._deviation = 0.0
        self._settled = 0

    @property
    def limit(self) -> int:
        """Batches that may be under way now, at least 1."""
        return self._start if self._fixed else int(self._exact)

    def succeeded(self, seconds: float, crowded: bool) -> None:
        """A try was answered well after so many seconds; `crowded` when no more could begin beside it."""
        slow = self._is_slow(seconds)
        self._settled -= self._settled > 0
        difference = seconds - self._mean
        self._mean += _ALPHA * difference if self._mean else difference
        self._deviation += _ALPHA * (abs(difference) - self._deviation) if self._deviation else seconds / 4
        if slow:
            self._lower(_GENTLE)
        elif crowded:
            # A limit that nobody runs into says nothing about what the endpoint could bear.
            step = 1.0 if self._exact < self._threshold else 1.0 / self._exact
            self._exact = min(self._most, self._exact + step)

    def failed(self) -> None:
        """A try failed; those that were under way together count as one failure if told once a round."""
        self._threshold = max(1.0, self._exact / 2)
        self._exact = 1.0

    def _is_slow(self, seconds: float) -> bool:
        allowed = self._mean + max(_TOLERANCE * self._deviation, _FLOOR * self._mean)
        return self._mean > 0 and seconds > allowed and not self._settled

    def _lower(self, factor: float) -> None:
        """Once for each round of answers: those under way now were sent under the old limit."""
        self._settled = self.limit
        self._exact = max(1.0, self._exact * factor)
        self._threshold = self._exact
