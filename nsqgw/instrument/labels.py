"""What metrics tell of a fact: few words, each with few values."""

from __future__ import annotations

import re
from typing import NamedTuple

from nsqgw.instrument.facts import (
    BackoffChanged,
    Connected,
    ConnectFailed,
    Disconnected,
    Fact,
    GivenUp,
    HandlerFailed,
    LookupFailed,
    ServerRefused,
    TouchExhausted,
)

_WORD_STARTS = re.compile(r"(?<!^)(?=[A-Z])")


class Labels(NamedTuple):
    """What a fact is counted by; "" where it says nothing.

    kind     the fact's class, as in `connect_failed`
    topic, channel  where the fact is about messages or a subscription
    outcome  how it ended: the class of the error, or one word for it
    """

    kind: str
    topic: str
    channel: str
    outcome: str


def labels_of(fact: Fact) -> Labels:
    """What `fact` is counted by."""
    kind = _WORD_STARTS.sub("_", type(fact).__name__).lower()
    return Labels(kind, *_stream_of(fact), _outcome_of(fact))


def address_of(fact: Fact) -> str:
    """The daemon a fact is about, "" when it is about none: there may be any number of them in time."""
    match fact:
        case Connected() | ConnectFailed() | Disconnected() | ServerRefused() | LookupFailed():
            return fact.address
        case _:
            return ""


def _stream_of(fact: Fact) -> tuple[str, str]:
    match fact:
        case Connected(topic=topic, channel=channel):
            return topic or "", channel or ""
        case HandlerFailed(messages=(message, *_)) | TouchExhausted(messages=(message, *_)):
            return message.topic, message.channel
        case GivenUp(message=message):
            return message.topic, message.channel
        case _:
            return "", ""


def _outcome_of(fact: Fact) -> str:
    match fact:
        case Connected() | TouchExhausted():
            return ""
        case Disconnected(error=None):
            return "closed"
        case GivenUp(error=None):
            return "handed_over" if fact.dead_letter_topic is None else "dead_letter"
        case BackoffChanged():
            return "backing_off" if fact.level else "full_speed"
        case _:
            return type(fact.error).__name__
