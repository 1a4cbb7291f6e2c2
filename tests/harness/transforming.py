"""Transforms as a config file has them, put to work on one body."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from gateways.pipeline.event import Event
from gateways.pipeline.transforms import Dropped, Rejected
from gateways.ship.transforms.chain import AnySettings, Chain, TransformSettings, build_chain
from harness.pipeline import RecordingOrigin
from nsqgw.message import Message

SETTINGS: TypeAdapter[list[AnySettings]] = TypeAdapter(list[TransformSettings])
TIMESTAMP = 1_770_000_000_000_000_000  # 2026-02-02T02:40:00Z
DECODE_JSON = {"type": "decode", "format": "json"}


def one_message(body: bytes, number: int = 1, topic: str = "events") -> Message:
    origin = RecordingOrigin()
    origin.topic = topic
    return Message(TIMESTAMP, 1, b"%016x" % number, body, origin)


def chain_of(*tables: dict[str, Any]) -> Chain:
    chain = build_chain(SETTINGS.validate_python(list(tables)))
    assert chain is not None
    return chain


def transformed(body: bytes, *tables: dict[str, Any]) -> Event | Dropped | Rejected:
    return chain_of(*tables).apply(one_message(body))


def event_body(body: bytes, *tables: dict[str, Any]) -> bytes:
    """The body after the transforms; a failure when there is no event."""
    result = transformed(body, *tables)
    assert isinstance(result, Event), result
    return result.body
