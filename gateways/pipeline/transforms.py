"""What is done to a message before it is batched: the seam, no transform.

Without transforms the pipeline encodes the message itself, and nobody parses its body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateways.pipeline.event import Event
from nsqgw.message import Message


@dataclass(frozen=True, slots=True)
class Dropped:
    """Left out on purpose, as configured: the message is finished and counted.

    by  the kind of the transform, such as `filter` or `sample`
    """

    by: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """It could not be read or changed as configured: it goes to the dead letters.

    reason  one line for people
    by      the kind of the transform
    """

    reason: str
    by: str


class Transforms(Protocol):
    """All transforms of a pipeline, in order."""

    def apply(self, message: Message) -> Event | Dropped | Rejected:
        """What becomes of a message; the message itself stays as it is. Never fails."""
