"""Messages for tests of handlers, without any server: call the handler, then look at what it did.

    message = testing.message(b"order 17", attempts=3)
    handle(message)
    assert message.requeued and message.delay == 30.0

What a consumer would do behind the handler, finishing when it returns and requeueing when it raises, is not
done here: a handler that leaves that to the consumer leaves the message unanswered.
"""

from __future__ import annotations

import itertools
import time

from nsqgw.message import Message

_numbers = itertools.count(1)


class RecordingMessage(Message):
    """A message that keeps the answers it is given.

    finished   whether `finish` was called
    requeued   whether `requeue` was called
    delay      the delay it was requeued with, in seconds; None for the consumer's rule
    backoff    whether the requeue asked the consumer to back off
    touches    how often `touch` was called
    """

    __slots__ = ("backoff", "delay", "finished", "requeued", "touches")

    def __init__(
        self, timestamp: int, attempts: int, message_id: bytes, body: bytes, origin: Recorder
    ) -> None:
        super().__init__(timestamp, attempts, message_id, body, origin)
        self.finished = False
        self.requeued = False
        self.delay: float | None = None
        self.backoff = False
        self.touches = 0


class Recorder:
    """Where a recording message's answers go; when it is not `connected`, they are too late."""

    def __init__(self, topic: str, channel: str, nsqd_address: str, connected: bool) -> None:
        self.topic = topic
        self.channel = channel
        self.nsqd_address = nsqd_address
        self.connected = connected

    def finish(self, message: Message) -> bool:
        if self.connected:
            recorded = _recording(message)
            recorded.answered = recorded.finished = True
        return self.connected

    def requeue(self, message: Message, delay: float | None, backoff: bool) -> bool:
        if self.connected:
            recorded = _recording(message)
            recorded.answered = recorded.requeued = True
            recorded.delay, recorded.backoff = delay, backoff
        return self.connected

    def touch(self, message: Message) -> bool:
        if self.connected:
            _recording(message).touches += 1
        return self.connected


def message(
    body: bytes,
    *,
    attempts: int = 1,
    topic: str = "topic",
    channel: str = "channel",
    timestamp: int | None = None,
    message_id: bytes | None = None,
    nsqd_address: str = "127.0.0.1:4150",
    connected: bool = True,
) -> RecordingMessage:
    """A message as a consumer hands it to its handler, with an id of its own unless one is given.

    `timestamp` is in nanoseconds since the epoch, by default now. With `connected=False` its answers are
    false and nothing is recorded, as when the connection is lost. TypeError for a body that is not bytes.
    """
    if not isinstance(body, bytes):
        raise TypeError(f"body must be bytes, not {type(body).__name__}: encode it, as its publisher does")
    return RecordingMessage(
        time.time_ns() if timestamp is None else timestamp,
        attempts,
        b"%016x" % next(_numbers) if message_id is None else message_id,
        body,
        Recorder(topic, channel, nsqd_address, connected),
    )


def _recording(message: Message) -> RecordingMessage:
    assert isinstance(message, RecordingMessage)  # a recorder serves the one message made with it
    return message
