"""What the pipeline asks of a sink, and what a sink answers.

A sink takes batches of encoded events and says what became of them. It never finishes or requeues a message,
never waits between tries and never drops anything: those are the pipeline's decisions.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from nsqgw.errors import NSQError

if TYPE_CHECKING:
    from gateways.pipeline.batch import Batch
    from nsqgw.message import Message


class Fate(enum.Enum):
    """What became of an event, as far as the sink knows.

    CONFIRMED  the far side has it; the message can be finished
    RETRY      not taken, or nobody knows; it may pass later
    REJECTED   the far side refuses this data and will refuse it again
    TOO_LARGE  the far side takes no batch of this size; smaller ones may pass
    BLOCKED    nothing will pass until a person acts: credentials, a wrong address, a missing index
    """

    CONFIRMED = "confirmed"
    RETRY = "retry"
    REJECTED = "rejected"
    TOO_LARGE = "too_large"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one `send`.

    fate         of all events of the batch; when `per_event` tells more, the worst of them
    reason       one line for people, without secrets; empty when all is well
    retry_after  seconds the far side asks to be left alone
    per_event    the fate of each event, in the order of the batch, when the far side says it
    reasons      why single events were refused, by their index in the batch; the others have `reason`
    unsure       what is to be tried again was sent, and nobody knows whether it was taken
    duplicates   so many of the confirmed ones were there already
    sent_again   so many of the confirmed ones were sent before without an answer: they may be there twice
    """

    fate: Fate
    reason: str = ""
    retry_after: float | None = None
    per_event: Sequence[Fate] | None = None
    reasons: Mapping[int, str] | None = None
    unsure: bool = False
    duplicates: int = 0
    sent_again: int = 0


CONFIRMED = Outcome(Fate.CONFIRMED)


class SinkUnusable(NSQError):
    """The sink cannot be opened; the text says what to mend."""


class SinkGone(NSQError):
    """The far side went away for good, as the reader of a pipe does: there is nothing left to do."""


class Sink(Protocol):
    """One destination. `send` may run several times at once; the other methods run alone."""

    name: str
    """A short name for metrics, of a bounded set of values: the kind and at most the host."""

    event_overhead: int
    """Bytes that framing adds to each encoded event."""

    max_events: int
    """Most events in one batch, 0 when the far side sets no limit."""

    max_bytes: int
    """Most bytes in one batch, encoded and framed, 0 for no limit. A single larger event is sent alone."""

    async def open(self) -> None:
        """Get ready. Raises SinkUnusable when a person has to mend something first."""

    def encode(self, message: Message) -> bytes:
        """The bytes that stand for one message in a batch, framing left out. Never fails."""

    async def send(self, batch: Batch) -> Outcome:
        """Deliver `batch.events`. Raises SinkGone, and nothing else that is foreseen.

        The pipeline cancels it at its deadline and then sends the same batch object again.
        """

    async def close(self) -> None:
        """Let go of everything, within moments."""

    def describe(self) -> str:
        """Where it leads to, in words for a log line: no secrets."""


@runtime_checkable
class InOrder(Protocol):
    """A sink whose far side is to get events in the order of their arrival.

    The pipeline sends it one batch at a time, and the next one only when nothing of that is tried again.
    """

    in_order: Literal[True]


@runtime_checkable
class Asking(Protocol):
    """A sink over HTTP: the answers to its requests by status, `none` for requests without an answer."""

    answers: Counter[str]


@runtime_checkable
class Skipping(Protocol):
    """A sink that leaves events out on purpose, and confirms them: how many, by the reason."""

    skipped: Counter[str]
