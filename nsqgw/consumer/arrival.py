"""The messages of one read: their way back to the connection, and the count of those unanswered.

Counting per read instead of keeping a table of every message is what makes tracking nearly free:
a read whose messages are all answered at once is never registered anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from nsqgw.errors import AlreadyAnswered
from nsqgw.message import Message

if TYPE_CHECKING:
    from nsqgw.consumer.subscription import Subscription

_origin = attrgetter("origin")


class Arrival:
    """The `Origin` of the messages of one read."""

    __slots__ = ("expired", "messages", "received_at", "subscription", "touched_at", "unanswered")

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.messages: list[Message] = []
        self.unanswered = 0
        self.expired = False
        self.received_at = 0.0
        self.touched_at = 0.0

    @property
    def topic(self) -> str:
        return self.subscription.topic

    @property
    def channel(self) -> str:
        return self.subscription.channel

    @property
    def nsqd_address(self) -> str:
        return self.subscription.address

    def take(self, messages: list[Message], now: float) -> None:
        """These messages have arrived."""
        if self.messages:
            self.messages = self.messages + messages
        else:
            self.messages = messages
            self.received_at = self.touched_at = now
        self.unanswered += len(messages)

    def unanswered_messages(self) -> list[Message]:
        """Those still to be answered, in order of arrival."""
        return [message for message in self.messages if not message.answered]

    @property
    def is_gone(self) -> bool:
        """Whether the connection is closed: nsqd delivers what is unanswered again, no answer is of use."""
        return self.subscription.closed

    def finish(self, message: Message) -> bool:
        """Send FIN for one message; False when it is of no use any more."""
        if not self._can_answer(message):
            return False
        message.answered = True
        self.subscription.finish(message.id)
        self._answered(1)
        return True

    def finish_all(self, messages: Iterable[Message]) -> int:
        """Send FIN for messages of this read that are unanswered; how many, none when it is of no use."""
        if self.is_gone:
            return 0
        ids = []
        for message in messages:
            message.answered = True
            ids.append(message.id)
        self.finished(ids)
        return len(ids)

    def finished(self, message_ids: list[bytes]) -> None:
        """Send FIN for messages that the caller has marked as answered."""
        if not self.is_gone:
            self.subscription.finish_all(message_ids)
        self._answered(len(message_ids))

    def requeue(self, message: Message, delay: float | None, backoff: bool) -> bool:
        """Send REQ for one message; False when it is of no use any more."""
        if not self._can_answer(message):
            return False
        message.answered = True
        self.subscription.requeue(message, delay, backoff)
        self._answered(1)
        return True

    def touch(self, message: Message) -> bool:
        """Send TOUCH for one message; False when it is of no use any more."""
        if not self._can_answer(message):
            return False
        self.touched_at = self.subscription.now()
        self.subscription.touch(message.id)
        return True

    @property
    def is_stale(self) -> bool:
        """Whether nsqd delivers what is unanswered again, so that nobody need begin with it."""
        return self.expired or self.subscription.closed

    def expire(self) -> None:
        """nsqd's time-out has passed. Answers are sent all the same: nsqd may be a little behind."""
        self.expired = True
        self.messages = []

    def _answered(self, count: int) -> None:
        self.unanswered -= count
        if self.unanswered == 0:
            self.messages = []  # they lead back here: without the ring, bodies are freed at once
            self.subscription.settled(self)

    def _can_answer(self, message: Message) -> bool:
        # Asked here once more: a handler in a thread may come after the consumer has answered for it.
        if message.answered:
            raise AlreadyAnswered(f"{message} was answered before")
        return not self.is_gone


def arrival_of(message: Message) -> Arrival:
    """The read a message came in; a consumer's messages have no other origin, or one that leads to it."""
    origin = message.origin
    arrival = origin if isinstance(origin, Arrival) else getattr(origin, "arrival", None)
    assert isinstance(arrival, Arrival)
    return arrival


def finish_all(messages: Iterable[Message]) -> int:
    """Finish messages that are unanswered; how many of the answers are on their way.

    Those of one read that stand together are answered together, which is cheaper than one by one.
    """
    sent = 0
    for origin, run in groupby(messages, _origin):
        if isinstance(origin, Arrival):
            sent += origin.finish_all(run)
        else:
            sent += sum(bool(message.finish()) for message in run)
    return sent
