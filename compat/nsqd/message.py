"""One message in one channel: what was published, and how its delivery stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compat.nsqd.consumer import Consumer

ATTEMPTS_MASK = 0xFFFF
"""attempts is 16 bits wide on the wire and wraps (nsqd-tcp section 10)."""


class Message:
    """`timestamp` in ns since the epoch; `deferral` in seconds, counted from the way out of the topic.

    `owner`, `delivered_at` and `deadline` (clock readings) mean something only while it is in flight.
    """

    __slots__ = ("attempts", "body", "deadline", "deferral", "delivered_at", "id", "owner", "timestamp")

    owner: Consumer
    delivered_at: float
    deadline: float

    def __init__(self, message_id: bytes, timestamp: int, body: bytes, deferral: float = 0.0) -> None:
        self.id = message_id
        self.timestamp = timestamp
        self.body = body
        self.deferral = deferral
        self.attempts = 0

    def copy(self) -> Message:
        """The same message for another channel: same id, timestamp and body, attempts of its own."""
        return Message(self.id, self.timestamp, self.body, self.deferral)
