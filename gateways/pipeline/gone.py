"""The origin of a message that no nsqd holds: there is nothing to answer."""

from __future__ import annotations

from dataclasses import dataclass

from nsqgw.message import Message


@dataclass(frozen=True, slots=True)
class Gone:
    """Where the message was, or is said to have been; every answer is in vain."""

    topic: str
    channel: str
    nsqd_address: str

    def finish(self, message: Message) -> bool:
        """Nobody hears it."""
        return False

    def requeue(self, message: Message, delay: float | None, backoff: bool) -> bool:
        """Nobody hears it."""
        return False

    def touch(self, message: Message) -> bool:
        """Nobody hears it."""
        return False
