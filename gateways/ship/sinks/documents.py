"""Each message as one JSON object on one line, for services that take nothing else.

A body that is an object stays as written, its numbers too; fields are added at its end, where it has none of
that name. Any other body becomes the text of a `message` field; one that is no UTF-8 `{"body_base64": ...}`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import orjson

from gateways.pipeline.event import fields_of
from nsqgw.message import Message

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NEWLINES = bytes.maketrans(b"\r\n", b"  ")


def document(message: Message, added: Mapping[str, object]) -> bytes:
    """The object that stands for a message, with the fields of `added` that the body lacks."""
    fields = fields_of(message)
    if fields is None:
        return orjson.dumps({**added, **body_fields(message.body)})
    # A newline inside a JSON string is always escaped: these stand between tokens.
    text = message.body.strip().translate(_NEWLINES)
    missing = {name: value for name, value in added.items() if name not in fields}
    if not missing:
        return text
    return text[:-1] + (b"," if fields else b"") + orjson.dumps(missing)[1:]


def body_fields(body: bytes) -> dict[str, str]:
    """A body that is no JSON object, as the field that carries it."""
    try:
        return {"message": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def body_text(body: bytes) -> str:
    """A body as text, for services whose lines are text: one that is no UTF-8 as a JSON object."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return orjson.dumps(body_fields(body)).decode()


def iso_time(timestamp: int) -> str:
    """A message's timestamp (ns) as services read it: UTC with microseconds."""
    when = _EPOCH + timedelta(microseconds=timestamp // 1000)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
