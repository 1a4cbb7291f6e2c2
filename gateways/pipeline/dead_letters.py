"""Where events go that a sink will never take, or that a transform could not read: the seam, no store.

A message is finished only after its dead letter is stored; a store that fails is tried again like a sink.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateways.pipeline.sink import Outcome
from nsqgw.message import Message


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event that was refused.

    message  the message it came from: body, id, attempts, timestamp, topic, channel and nsqd are there
    event    the encoded form that was refused; empty when it never came to be encoded
    reason   one line for people, without secrets; a `Refusal` has more for programs
    sink     the name of the sink that refused it, or of the transform
    """

    message: Message
    event: bytes
    reason: str
    sink: str


class DeadLetters(Protocol):
    """A durable store of dead letters."""

    async def store(self, letters: Sequence[DeadLetter]) -> Outcome:
        """Store all of them; CONFIRMED only when they are durable.

        `per_event` may tell them apart; those that are not confirmed are stored again. Called by several
        tasks at once, under a deadline; raises nothing that is foreseen.
        """
