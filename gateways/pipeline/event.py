"""An event after the transforms: still the message it came from, with another body and its fields at hand."""

from __future__ import annotations

from typing import Any

import orjson

from nsqgw.message import Message


class Event(Message):
    """What sinks encode in place of the message when transforms have worked on it.

    Topic, id, timestamp and attempts are the message's, and so is the event key. Never answer an event: the
    pipeline answers the message.

    fields  what the body says, decoded; not to be changed. None when no transform decoded it
    sinks   the names of the sinks it is routed to; None when no transform routed it: to all of the pipeline
    """

    __slots__ = ("fields", "sinks")

    def __init__(
        self,
        message: Message,
        body: bytes,
        fields: dict[str, Any] | None = None,
        sinks: tuple[str, ...] | None = None,
    ) -> None:
        self.timestamp = message.timestamp
        self.attempts = message.attempts
        self.id = message.id
        self.origin = message.origin
        self.answered = False
        self.body = body
        self.fields = fields
        self.sinks = sinks


def fields_of(message: Message) -> dict[str, Any] | None:
    """What the body says: at hand in an event, else read as JSON; None when that is no object."""
    if isinstance(message, Event) and message.fields is not None:
        return message.fields
    try:
        value = orjson.loads(message.body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
