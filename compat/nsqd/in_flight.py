"""The messages of a channel that are with consumers, and whose time is up.

Nothing is kept per message but a place in one dict. The earliest deadline is only known as a lower bound,
corrected when a scan passes it, so an answered message costs no bookkeeping of deadlines at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from compat.nsqd.consumer import Consumer
from compat.nsqd.message import ATTEMPTS_MASK, Message

NOT_IN_FLIGHT = "ID not in flight"
NOT_OWNED = "client does not own message"


class NotInFlight(Exception):
    """FIN, REQ or TOUCH of a message that is not the consumer's to answer; the text is nsqd's reason."""


class InFlight:
    """Messages by id. Every time is a reading of the same clock, in seconds."""

    def __init__(self, max_msg_timeout: float) -> None:
        self._messages: dict[bytes, Message] = {}
        self._max_msg_timeout = max_msg_timeout
        self._earliest = math.inf

    def __len__(self) -> int:
        return len(self._messages)

    def find(self, message_id: bytes) -> Message | None:
        """The message of that id, if it is in flight."""
        return self._messages.get(message_id)

    def start(self, messages: Sequence[Message], consumer: Consumer, now: float) -> None:
        """The messages are about to be sent to `consumer`."""
        deadline = now + consumer.msg_timeout
        held = self._messages
        for message in messages:
            message.attempts = (message.attempts + 1) & ATTEMPTS_MASK
            message.owner = consumer
            message.delivered_at = now
            message.deadline = deadline
            held[message.id] = message
        self._earliest = min(self._earliest, deadline)

    def finish(self, message_ids: Iterable[bytes], consumer: Consumer) -> tuple[int, list[tuple[bytes, str]]]:
        """Forget the messages that `consumer` finished: how many, and the failed ones with nsqd's reason."""
        held = self._messages
        finished = 0
        failed: list[tuple[bytes, str]] = []
        for message_id in message_ids:
            message = held.get(message_id)
            if message is not None and message.owner is consumer:
                del held[message_id]
                finished += 1
            else:
                failed.append((message_id, NOT_IN_FLIGHT if message is None else NOT_OWNED))
        return finished, failed

    def timestamps(self, message_ids: Iterable[bytes], consumer: Consumer) -> list[int]:
        """When those of the messages that `consumer` may finish were published."""
        held = self._messages
        found = (held.get(message_id) for message_id in dict.fromkeys(message_ids))
        return [each.timestamp for each in found if each is not None and each.owner is consumer]

    def take(self, message_id: bytes, consumer: Consumer) -> Message:
        """Remove the message that `consumer` answers, or raise NotInFlight."""
        message = self._owned(message_id, consumer)
        del self._messages[message_id]
        return message

    def touch(self, message_id: bytes, consumer: Consumer, now: float) -> None:
        """Restart the time-out, up to max-msg-timeout after delivery (nsqd-tcp 8.3); or NotInFlight."""
        message = self._owned(message_id, consumer)
        latest = message.delivered_at + self._max_msg_timeout
        message.deadline = min(now + consumer.msg_timeout, latest)
        self._earliest = min(self._earliest, message.deadline)

    def take_expired(self, now: float) -> list[Message]:
        """Remove and return the messages whose deadline has passed, in the order of their delivery."""
        if now < self._earliest:
            return []
        expired = [message for message in self._messages.values() if message.deadline <= now]
        for message in expired:
            del self._messages[message.id]
        self._earliest = min((message.deadline for message in self._messages.values()), default=math.inf)
        return expired

    def messages(self) -> list[Message]:
        """All of them, as they were delivered."""
        return list(self._messages.values())

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()
        self._earliest = math.inf

    def _owned(self, message_id: bytes, consumer: Consumer) -> Message:
        message = self._messages.get(message_id)
        if message is None:
            raise NotInFlight(NOT_IN_FLIGHT)
        if message.owner is not consumer:
            raise NotInFlight(NOT_OWNED)
        return message
