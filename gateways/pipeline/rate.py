"""How fast a sink may be sent to, for services that bill or cut by volume: pure, times are passed in.

Token buckets that hold one second's worth. What is due may be sent whole, however large it is; what comes
after it waits until that is made up for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from gateways.pipeline.batch import Batch


@runtime_checkable
class TakesRequests(Protocol):
    """A sink whose batches may take several requests each."""

    def requests_of(self, batch: Batch) -> int:
        """How many it takes to send the batch."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Each per second; 0 for no limit. Bytes are of encoded events with their framing."""

    events: float = 0.0
    bytes: float = 0.0
    requests: float = 0.0


NO_LIMITS = RateLimits()


class Rate:
    """One sink's buckets, full in the beginning."""

    def __init__(self, limits: RateLimits) -> None:
        self._events = _Bucket(limits.events)
        self._bytes = _Bucket(limits.bytes)
        self._requests = _Bucket(limits.requests)

    def delay(self, now: float) -> float:
        """Seconds until something may be sent."""
        return max(self._events.delay(now), self._bytes.delay(now), self._requests.delay(now))

    def spend(self, now: float, *, events: int, size: int, requests: int) -> None:
        """So much is sent now."""
        self._events.spend(now, events)
        self._bytes.spend(now, size)
        self._requests.spend(now, requests)


class _Bucket:
    """One kind of token; in debt after more was spent than there was."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._level = per_second
        self._read_at: float | None = None

    def delay(self, now: float) -> float:
        """Seconds until it is out of debt."""
        self._fill(now)
        return -self._level / self._per_second if self._level < 0 else 0.0

    def spend(self, now: float, count: int) -> None:
        """Take so many out."""
        self._fill(now)
        if self._per_second:
            self._level -= count

    def _fill(self, now: float) -> None:
        if self._read_at is not None:
            self._level = min(self._per_second, self._level + (now - self._read_at) * self._per_second)
        self._read_at = now
