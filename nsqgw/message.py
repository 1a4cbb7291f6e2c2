"""A message, and the narrow way back to the connection it came from."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from nsqgw.errors import AlreadyAnswered
from nsqgw.protocol.delays import check_delay


class Origin(Protocol):
    """Where a message came from, and where its answers go.

    One origin serves all messages of a read. Each method says whether the answer is on its way; it is
    not when nsqd delivers the message again anyway, because the connection is closed or its time is up.
    None of them waits.
    """

    @property
    def topic(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def nsqd_address(self) -> str: ...

    def finish(self, message: Message) -> bool:
        """Send FIN."""

    def requeue(self, message: Message, delay: float | None, backoff: bool) -> bool:
        """Send REQ; `delay` in seconds, None for the consumer's rule."""

    def touch(self, message: Message) -> bool:
        """Send TOUCH."""


class Answer:
    """What answering a message returns: true when the answer is on its way to nsqd.

    It is false when the message's connection is closed or its time is up: nsqd delivers it again, whatever
    is answered. There is nothing to wait for, but `await message.finish()` reads well and works.
    """

    __slots__ = ("sent",)

    def __init__(self, sent: bool) -> None:
        self.sent = sent

    def __bool__(self) -> bool:
        return self.sent

    def __await__(self) -> Generator[None, None, bool]:
        yield from ()
        return self.sent

    def __repr__(self) -> str:
        return "<Answer sent>" if self.sent else "<Answer not sent: nsqd delivers the message again>"


SENT = Answer(True)
GONE = Answer(False)


class Message:
    """One delivery of a message.

    timestamp   nanoseconds since the Unix epoch, set when nsqd took the message in
    attempts    1 on the first delivery, one more on each after it
    id          16 ASCII bytes, unique per nsqd and topic
    body        the bytes as published
    answered    whether it was finished or requeued
    origin      where its answers go; of no interest to handlers

    A message is answered once, by `finish` or `requeue`; a second answer raises AlreadyAnswered and
    sends nothing. Answers go out at the end of the current read or loop turn, many in one write.
    """

    __slots__ = ("answered", "attempts", "body", "id", "origin", "timestamp")

    def __init__(self, timestamp: int, attempts: int, message_id: bytes, body: bytes, origin: Origin) -> None:
        self.timestamp = timestamp
        self.attempts = attempts
        self.id = message_id
        self.body = body
        self.origin = origin
        self.answered = False

    @property
    def topic(self) -> str:
        """The topic it was published to."""
        return self.origin.topic

    @property
    def channel(self) -> str:
        """The channel it was delivered on."""
        return self.origin.channel

    @property
    def nsqd_address(self) -> str:
        """The nsqd that delivered it, as `host:port`."""
        return self.origin.nsqd_address

    def finish(self) -> Answer:
        """Tell nsqd that the message is done with (FIN).

        The result is false when nsqd delivers it again anyway, see `Answer`. Raises AlreadyAnswered.
        """
        if self.answered:
            raise AlreadyAnswered(f"{self} was answered before")
        return SENT if self.origin.finish(self) else GONE

    def requeue(self, delay: float | None = None, *, backoff: bool = True) -> Answer:
        """Give the message back, to come again after `delay` seconds (REQ).

        Without `delay` it is the consumer's `requeue_delay` times the attempts so far; 0 means at once.
        With `backoff` the consumer takes this as a failure and slows down. nsqd shortens delays
        above its own limit (one hour by default). As `finish` otherwise; ConfigError for a delay that is
        none.
        """
        if self.answered:
            raise AlreadyAnswered(f"{self} was answered before")
        if delay is not None:
            check_delay(delay)
        return SENT if self.origin.requeue(self, delay, backoff) else GONE

    def touch(self) -> Answer:
        """Ask for more time: the message's time-out starts again (TOUCH), up to nsqd's hard limit.

        As `finish` otherwise.
        """
        if self.answered:
            raise AlreadyAnswered(f"{self} was answered before")
        return SENT if self.origin.touch(self) else GONE

    def __str__(self) -> str:
        return f"message {self._shown_id}"

    def __repr__(self) -> str:
        state = " answered" if self.answered else ""
        return f"<Message {self._shown_id} attempts={self.attempts} {len(self.body)} bytes{state}>"

    @property
    def _shown_id(self) -> str:
        return self.id.decode("ascii", "backslashreplace")
