"""Which messages a connection has in flight, by id: bounded by time, as nsqd takes each back in the end."""

from __future__ import annotations


class InFlight:
    """Ids of messages, each known until it is answered or `longest` seconds old.

    After so long nsqd has taken the message back, however often it was touched. `now` is a clock in seconds
    that does not go back.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._arrived: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._arrived)

    def add(self, message_id: str, now: float) -> None:
        """It was delivered, perhaps not for the first time. Those that are too old are forgotten."""
        self._arrived.pop(message_id, None)
        self._arrived[message_id] = now
        while (oldest := next(iter(self._arrived))) != message_id and self._is_old(oldest, now):
            del self._arrived[oldest]

    def holds(self, message_id: str, now: float) -> bool:
        """Whether nsqd may still wait for its answer."""
        return message_id in self._arrived and not self._is_old(message_id, now)

    def discard(self, message_id: str) -> None:
        """It is answered."""
        self._arrived.pop(message_id, None)

    def _is_old(self, message_id: str, now: float) -> bool:
        return now - self._arrived[message_id] >= self._longest
