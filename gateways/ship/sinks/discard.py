"""Nowhere: what comes here is counted by the pipeline and gone. For dead letters that nobody wants."""

from __future__ import annotations

from typing import Literal

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Outcome, Sink
from gateways.ship.sinks.settings import SinkSettings
from nsqgw.message import Message


class DiscardSettings(SinkSettings):
    """Throw events away: as the dead_letter of a pipeline, refused events are logged, counted and gone."""

    type: Literal["discard"] = "discard"

    def make(self, concurrency: int) -> Sink:
        """The sink, which never waits."""
        return DiscardSink()


class DiscardSink:
    """Confirms everything."""

    name = "discard"
    event_overhead = 0
    max_events = 0
    max_bytes = 0

    async def open(self) -> None:
        """There is nothing to open."""

    def encode(self, message: Message) -> bytes:
        """Nothing of it is kept."""
        return b""

    async def send(self, batch: Batch) -> Outcome:
        """Let it go."""
        return CONFIRMED

    async def close(self) -> None:
        """There is nothing to close."""

    def describe(self) -> str:
        return "nowhere"
