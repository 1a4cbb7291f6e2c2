"""Batches as the pipeline makes them, sent through a sink that is made from settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic import TypeAdapter

from gateways.pipeline.batch import Batch
from gateways.ship.destination import SinkSettings
from gateways.ship.sinks.http_base import HttpSinkBase
from harness.pipeline import RecordingOrigin, make_messages
from nsqgw.message import Message

SECOND = 1_000_000_000
NOON = 1_699_963_200 * SECOND  # 2023-11-14 12:00 UTC


def sink_of(settings: dict[str, Any], concurrency: int = 2) -> HttpSinkBase:
    """The sink these settings make, not open."""
    sink: HttpSinkBase = TypeAdapter[Any](SinkSettings).validate_python(settings).make(concurrency)
    return sink


@asynccontextmanager
async def opened(settings: dict[str, Any], concurrency: int = 2) -> AsyncIterator[HttpSinkBase]:
    """The same, open."""
    sink = sink_of(settings, concurrency)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


def messages_of(bodies: Sequence[bytes], topic: str = "events", start: int = 0) -> list[Message]:
    """Messages with ids from `start` on, one a second from noon on."""
    origin = RecordingOrigin()
    origin.topic = topic
    messages = make_messages(bodies, origin)
    for number, message in enumerate(messages, start):
        message.id = b"%016x" % number
        message.timestamp = NOON + number * SECOND
    return messages


def batch_of(sink: HttpSinkBase, messages: Sequence[Message]) -> Batch:
    """These messages, encoded."""
    batch = Batch(0.0)
    batch.messages = list(messages)
    batch.events = [sink.encode(message) for message in messages]
    batch.size = sum(len(event) + sink.event_overhead for event in batch.events)
    return batch
