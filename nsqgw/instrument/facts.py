"""Facts: what happened, one typed value each. The library reports them, adapters make use of them.

Facts are about connections, failures and changes of pace; there is none per message, so that
the hot path pays nothing. Counters are read from `Consumer.stats` and `Producer.stats` instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nsqgw.errors import NSQError, ServerError
from nsqgw.message import Message


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
"""All there are."""

OnFact = Callable[[Fact], None]
"""A hook: called with every fact, where it happened. It must not wait."""
