"""How many messages a consumer may have in flight, so that memory stays bounded: pure.

Messages are small as a rule and large now and then: what nsqd may send unasked is bounded by the size of the
largest seen lately, not by their mean.
"""

from __future__ import annotations

_RESUME_BELOW = 0.5  # of max_bytes: pausing and resuming for every batch would cost a RDY each
_FORGETTING = 0.995  # of the largest size, with each read


class Intake:
    """For `consumers` consumers with `max_in_flight` each, and `max_bytes` of messages in hand in all."""

    def __init__(self, max_in_flight: int, max_bytes: int, consumers: int) -> None:
        self._max_in_flight = max_in_flight
        self._max_bytes = max_bytes
        self._consumers = consumers
        self._largest = 0.0
        self._full = False

    def arrived(self, largest: int) -> None:
        """Messages arrived, the largest of them of so many bytes."""
        self._largest = max(float(largest), self._largest * _FORGETTING)

    def allowance(self, held_bytes: int) -> int:
        """Messages in flight that each consumer may have; 0 while more bytes are in hand than allowed."""
        if held_bytes >= self._max_bytes:
            self._full = True
        elif held_bytes < self._max_bytes * _RESUME_BELOW:
            self._full = False
        if self._full:
            return 0
        fitting = int(self._max_bytes / max(1.0, self._largest * self._consumers))
        if fitting >= self._max_in_flight:
            return self._max_in_flight
        # Powers of two: a new RDY only when something has really changed.
        return max(1, 1 << (fitting.bit_length() - 1)) if fitting else 1
