"""Showing messages to people while they pass: at three places, and only while somebody watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from gateways.pipeline.batch import Batch
from gateways.pipeline.event import Event
from nsqgw.message import Message

Stage = Literal["received", "transformed", "sent"]
STAGES: tuple[Stage, ...] = ("received", "transformed", "sent")
"""As nsqd sent them; as transforms left them; as a sink has confirmed them, encoded for it."""


class Show(Protocol):
    """Takes note of messages, and neither keeps nor answers them; never waits. `sink` is of those sent."""

    def __call__(self, stage: Stage, messages: Sequence[Message], sink: str | None = None) -> None: ...


def as_sent(batch: Batch) -> list[Message]:
    """The messages of a batch with the events that went to the sink as their bodies."""
    return [Event(message, event) for message, event in zip(batch.messages, batch.events, strict=True)]
