"""Facts as lines on the logger `nsqgw`: the hook used by default."""

from __future__ import annotations

import logging
from functools import singledispatch

from nsqgw.instrument.facts import (
    BackoffChanged,
    Connected,
    ConnectFailed,
    Disconnected,
    Fact,
    GivenUp,
    HandlerFailed,
    LookupFailed,
    PublishingAgain,
    ServerRefused,
    TouchExhausted,
)

logger = logging.getLogger("nsqgw")


@singledispatch
def to_logging(fact: Fact) -> None:
    """One line a fact: errors and warnings for what went wrong, info for what is as it should be."""
    raise TypeError(f"{fact!r} is no fact")


@to_logging.register
def _connected(fact: Connected) -> None:
    subscribed = f", subscribed to {fact.topic}/{fact.channel}" if fact.topic else ""
    logger.info("connected to %s%s", fact.address, subscribed)


@to_logging.register
def _connect_failed(fact: ConnectFailed) -> None:
    logger.warning("cannot connect to %s; next try in %.1f s", fact.error, fact.retry_in)


@to_logging.register
def _disconnected(fact: Disconnected) -> None:
    if fact.error is None:
        logger.info("disconnected from %s", fact.address)
    else:
        logger.warning("lost %s: %s; %d unanswered", fact.address, _cause(fact), fact.unanswered)


@to_logging.register
def _server_refused(fact: ServerRefused) -> None:
    logger.warning("%s refused: %s", fact.address, _cause(fact))


def _cause(fact: Disconnected | ServerRefused) -> str:
    """The error without the address, which the line has already."""
    return str(fact.error).removeprefix(f"{fact.address}: ")


@to_logging.register
def _lookup_failed(fact: LookupFailed) -> None:
    logger.warning("cannot ask nsqlookupd %s", fact.error)


@to_logging.register
def _handler_failed(fact: HandlerFailed) -> None:
    logger.error("handler failed, giving back %d message(s)", len(fact.messages), exc_info=fact.error)


@to_logging.register
def _given_up(fact: GivenUp) -> None:
    if fact.error is not None:
        outcome = f"but the dead letter was not stored: {fact.error}"
    elif fact.dead_letter_topic is not None:
        outcome = f"dead letter in {fact.dead_letter_topic}"
    else:
        outcome = "handed to on_giving_up"
    logger.warning("giving up %r: %s", fact.message, outcome)


@to_logging.register
def _touch_exhausted(fact: TouchExhausted) -> None:
    text = "%d message(s) still unanswered; nsqd delivers them again in %.0f s whatever happens"
    logger.warning(text, len(fact.messages), fact.seconds)


@to_logging.register
def _publishing_again(fact: PublishingAgain) -> None:
    logger.warning("publishing %d message(s) again: %s", fact.messages, fact.error)


@to_logging.register
def _backoff_changed(fact: BackoffChanged) -> None:
    if fact.level:
        logger.warning("backing off, level %d: no deliveries for %.1f s", fact.level, fact.pause)
    else:
        logger.info("recovered, back to full speed")
