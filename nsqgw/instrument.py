"""Facts: what happened, one typed value each. The library reports them, adapters make use of them.

Facts are about connections, failures and changes of pace; there is none per message, so that
the hot path pays nothing. Counters are read from `Consumer.stats` and `Producer.stats` instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from nsqgw.errors import NSQError, ServerError
from nsqgw.message import Message

logger = logging.getLogger("nsqgw")


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is ready for use."""

    address: str
    topic: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """A connection could not be made; the next try comes in `retry_in` seconds."""

    address: str
    error: NSQError
    retry_in: float


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection ended; `error` is None when it was closed on purpose, `unanswered` messages come again."""

    address: str
    error: NSQError | None
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class ServerRefused:
    """nsqd sent an error frame that answers no publish: a FIN, REQ or TOUCH that came too late, mostly."""

    address: str
    error: ServerError


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """An nsqlookupd could not be asked; the others and the next poll go on."""

    address: str
    error: NSQError


@dataclass(frozen=True, slots=True)
class HandlerFailed:
    """A handler raised; its messages are given back."""

    error: BaseException
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A message is not tried again; `dead_letter_topic` has it, or `on_giving_up` where that is None.

    With an `error` the dead letter could not be stored, and nsqd delivers the message again.
    """

    message: Message
    dead_letter_topic: str | None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class TouchExhausted:
    """In `seconds` these unanswered messages reach nsqd's hard limit; then it delivers them again."""

    messages: tuple[Message, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class PublishingAgain:
    """A publish of so many messages failed and is tried again, on another nsqd if there is one."""

    messages: int
    error: NSQError


@dataclass(frozen=True, slots=True)
class BackoffChanged:
    """The pace changed after failures or successes: level 0 is full speed, `pause` in seconds."""

    level: int
    pause: float


Fact = (
    Connected
    | ConnectFailed
    | Disconnected
    | ServerRefused
    | LookupFailed
    | HandlerFailed
    | GivenUp
    | TouchExhausted
    | PublishingAgain
    | BackoffChanged
)
OnFact = Callable[[Fact], None]


def to_logging(fact: Fact) -> None:
    """The adapter used by default: one line a fact on the logger `nsqgw`."""
    if isinstance(fact, HandlerFailed):
        logger.error("handler failed, giving back %d message(s)", len(fact.messages), exc_info=fact.error)
    elif isinstance(fact, ConnectFailed):
        logger.warning("cannot connect to %s; next try in %.1f s", fact.error, fact.retry_in)
    elif isinstance(fact, Disconnected):
        if fact.error is None:
            logger.info("disconnected from %s", fact.address)
        else:
            logger.warning("lost %s: %s; %d unanswered", fact.address, fact.error, fact.unanswered)
    elif isinstance(fact, ServerRefused):
        logger.warning("%s refused: %s", fact.address, fact.error)
    elif isinstance(fact, LookupFailed):
        logger.warning("cannot ask nsqlookupd %s", fact.error)
    elif isinstance(fact, Connected):
        subscribed = f", subscribed to {fact.topic}/{fact.channel}" if fact.topic else ""
        logger.info("connected to %s%s", fact.address, subscribed)
    elif isinstance(fact, GivenUp):
        where = (
            f"dead letter in {fact.dead_letter_topic}" if fact.dead_letter_topic else "handed to on_giving_up"
        )
        outcome = where if fact.error is None else f"but the dead letter was not stored: {fact.error}"
        logger.warning("giving up %r: %s", fact.message, outcome)
    elif isinstance(fact, TouchExhausted):
        text = "%d message(s) still unanswered; nsqd delivers them again in %.0f s whatever happens"
        logger.warning(text, len(fact.messages), fact.seconds)
    elif isinstance(fact, PublishingAgain):
        logger.warning("publishing %d message(s) again: %s", fact.messages, fact.error)
    elif fact.level:
        logger.warning("backing off, level %d: no deliveries for %.1f s", fact.level, fact.pause)
    else:
        logger.info("recovered, back to full speed")


def guarded(on_fact: OnFact) -> OnFact:
    """The same, except that what it raises is logged: who only listens must not stop the work."""

    def report(fact: Fact) -> None:
        try:
            on_fact(fact)
        except Exception:
            logger.exception("on_fact failed for %s", fact)

    return report
