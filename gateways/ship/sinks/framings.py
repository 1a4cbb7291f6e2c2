"""How the events of a batch become one body."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgpack
import orjson

from gateways.ship.sinks.documents import body_fields, body_text
from gateways.ship.sinks.ndjson import ndjson_line
from nsqgw.message import Message

Framing = Literal["ndjson", "json_array", "lines", "length_prefixed", "msgpack_array", "template", "one"]
Element = Literal["json", "object", "body"]

CONTENT_TYPES: dict[str, str] = {
    "ndjson": "application/x-ndjson",
    "json_array": "application/json",
    "lines": "text/plain",
    "length_prefixed": "application/octet-stream",
    "msgpack_array": "application/msgpack",
    "template": "application/json",
    "one": "application/octet-stream",
}

Encode = Callable[[bytes], bytes]


def encoder(framing: Framing, element: Element) -> Encode:
    """What stands for a body; `element` is for the framing `template`."""
    return _ELEMENTS[element] if framing == "template" else _ENCODERS[framing]


def enveloped(message: Message) -> bytes:
    """A message with what NSQ knows of it: its body as JSON where it is some, else as text."""
    return orjson.dumps(
        {
            "topic": message.topic,
            "id": message.id.decode("ascii", "backslashreplace"),
            "timestamp": message.timestamp,
            "attempts": message.attempts,
            "body": orjson.Fragment(_json_value(message.body)),
        }
    )


def joined(framing: Framing, events: Sequence[bytes]) -> bytes:
    """The body of a request; the framing `template` has words of its own."""
    if framing == "json_array":
        return b"[" + b",".join(events) + b"]"
    if framing == "msgpack_array":
        head: bytes = msgpack.Packer().pack_array_header(len(events))
        return head + b"".join(events)
    if framing == "length_prefixed":
        return b"".join(events)
    return events[0] if framing == "one" else b"\n".join(events) + b"\n"


def _json_value(body: bytes) -> bytes:
    """A body that is JSON as it is; any other as a string."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return orjson.dumps(body_text(body))
    return body


def _json_object(body: bytes) -> bytes:
    """A body that is a JSON object as it is; any other as the field that carries it."""
    try:
        is_object = isinstance(orjson.loads(body), dict)
    except orjson.JSONDecodeError:
        is_object = False
    return body if is_object else orjson.dumps(body_fields(body))


def _msgpack_value(body: bytes) -> bytes:
    """What JSON says in MessagePack; other text as a string, other bytes as binary."""
    value: Any
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            value = body.decode()
        except UnicodeDecodeError:
            value = body
    packed: bytes = msgpack.packb(value)
    return packed


def _as_is(body: bytes) -> bytes:
    return body


_ENCODERS: dict[str, Encode] = {
    "ndjson": ndjson_line,
    "json_array": _json_value,
    "lines": _as_is,
    "length_prefixed": lambda body: struct.pack(">I", len(body)) + body,
    "msgpack_array": _msgpack_value,
    "one": _as_is,
}

_ELEMENTS: dict[str, Encode] = {
    "json": _json_value,
    "object": _json_object,
    "body": _as_is,
}
