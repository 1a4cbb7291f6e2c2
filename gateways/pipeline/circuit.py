"""Whether an endpoint is to be left alone, and then the consumers, too: pure, clock readings are passed in.

closed     batches go out
failing    after a failure: one try at a time, when the backoff allows it; messages go on coming in
open       it failed for long, or a person has to act: nothing is taken in, one batch at a time tries it
"""

from __future__ import annotations

from collections import deque

from gateways.pipeline.retry import Backoff, Random, RetryPolicy

FAILURES_IN_A_ROW = 5
WINDOW = 20
FAILURES_IN_WINDOW = 10


class Circuit:
    """One endpoint's state: its backoff, and whether it is open."""

    def __init__(self, policy: RetryPolicy, random: Random) -> None:
        self._backoff = Backoff(policy, random)
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self.is_open = False
        """Whether messages are not to be taken in."""

    @property
    def failing(self) -> bool:
        """Whether the last word of the endpoint was a failure."""
        return self._backoff.failing

    def delay(self, now: float) -> float:
        """Seconds until the next try is allowed."""
        return self._backoff.delay(now)

    def failed(
        self, started: float, now: float, retry_after: float | None = None, *, blocked: bool = False
    ) -> bool:
        """A try that began at `started` has failed; whether that was news, see `Backoff.failed`.

        `blocked` says that a person has to act: no use in waiting for more failures.
        """
        news = self._backoff.failed(started, now, retry_after)
        self._recent.append(False)
        often = self._recent.count(False) >= FAILURES_IN_WINDOW and len(self._recent) == WINDOW
        if blocked or often or self._backoff.failures >= FAILURES_IN_A_ROW:
            self.is_open = True
        return news

    def succeeded(self, started: float) -> None:
        """A try that began at `started` has passed."""
        self._backoff.succeeded(started)
        self._recent.append(True)
        if self.is_open and not self._backoff.failing:
            self.is_open = False
            self._recent.clear()
