"""Where messages go that are not tried again: a dead-letter topic, or the user's own code.

Never to the floor: nsqd is told that such a message is finished only after its dead letter is stored
or the user's code has returned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from nsqgw.consumer.arrival import arrival_of
from nsqgw.message import Message

ReportGivenUp = Callable[[Message, str | None, BaseException | None], None]
"""Called as report(message, dead_letter_topic, error); `error` when the dead letter could not be stored."""


class DeadLetters:
    """Publishes the bodies to another topic of the nsqd they came from, on the same connection.

    So it needs no further connection, and fails only with the one the message depends on anyway.
    """

    def __init__(self, topic: str, report: ReportGivenUp) -> None:
        self._topic = topic
        self._report = report

    def dispatch(self, messages: list[Message]) -> None:
        """Store each message as a dead letter, then finish it."""
        for message in messages:
            stored = arrival_of(message).subscription.publish(self._topic, message.body)
            stored.add_done_callback(partial(self._on_stored, message))

    def take_unhandled(self) -> list[Message]:
        """None: what was dispatched is on its way."""
        return []

    async def close(self) -> None:
        """Nothing runs here that would have to be ended."""

    def _on_stored(self, message: Message, stored: asyncio.Future[None]) -> None:
        # An error ends the connection (nsqd-tcp section 9), so there is nothing to give back.
        error = stored.exception()
        if error is None and not message.answered and not arrival_of(message).subscription.closed:
            message.finish()
        self._report(message, self._topic, error)
