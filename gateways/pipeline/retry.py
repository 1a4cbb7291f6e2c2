"""When to try again, and when to give messages back: pure, clock readings and chance are passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Random = Callable[[], float]
"""A number from 0 up to 1, as `random.random`."""

REQUEUE_UNIT = 30.0
MAX_REQUEUE_DELAY = 3600.0  # nsqd's --max-req-timeout by default; a longer delay is cut to it


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How an endpoint that fails is tried again.

    initial, factor, cap  the n-th pause is a random part of initial * factor**n, at most cap (full jitter)
    max_retry_after       longest pause a far side can ask for
    budget                how long a message is held, counted from its arrival; then nsqd gets it back. Well
                          below 15 minutes: what is held longer than nsqd's --max-msg-timeout is delivered
                          again whatever the consumer does
    """

    initial: float = 0.5
    factor: float = 2.0
    cap: float = 30.0
    max_retry_after: float = 300.0
    budget: float = 300.0


class Backoff:
    """One endpoint's state, shared by all batches sent to it: if one is told to wait, all wait."""

    def __init__(self, policy: RetryPolicy, random: Random) -> None:
        self._policy = policy
        self._random = random
        self._failures = 0
        self._failed_at = 0.0
        self._not_before = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last word of the endpoint was a failure."""
        return self._failures > 0

    @property
    def failures(self) -> int:
        """Failures one after the other."""
        return self._failures

    def delay(self, now: float) -> float:
        """Seconds until the next try is allowed."""
        return max(0.0, self._not_before - now)

    def failed(self, started: float, now: float, retry_after: float | None = None) -> bool:
        """A try that began at `started` has failed; whether it counts as a failure of its own.

        Tries under way together count as one failure: they say the same thing about the endpoint. A wait that
        the far side asks for (`retry_after`, seconds) replaces the random one.
        """
        policy = self._policy
        news = self._failures == 0 or started >= self._failed_at
        if news:
            ceiling = min(policy.cap, policy.initial * policy.factor ** min(self._failures, 64))
            self._not_before = now + ceiling * self._random()
            self._failures += 1
            self._failed_at = now
        if retry_after is not None:
            self._not_before = now + min(max(0.0, retry_after), policy.max_retry_after)
        return news

    def succeeded(self, started: float) -> None:
        """A try that began at `started` has passed: full speed, unless the endpoint failed since it began."""
        if started >= self._failed_at:
            self._failures = 0
            self._not_before = 0.0


def requeue_delay(attempts: int, random: Random) -> float:
    """REQ delay after a spent budget: 30 s, doubled with each delivery up to an hour, 50 to 100 % of it."""
    ceiling = min(MAX_REQUEUE_DELAY, REQUEUE_UNIT * 2.0 ** min(max(attempts, 1) - 1, 16))
    return ceiling * (0.5 + random() / 2)
