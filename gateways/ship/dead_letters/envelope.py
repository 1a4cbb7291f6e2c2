"""A dead letter as one JSON object on one line; docs/dead-letters.md has the schema, `v` is its version.

The body is kept byte for byte: as text, in base64 when it is no UTF-8, and compressed when it is large, so
that the envelope is not larger than a message may be.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import orjson

from gateways.pipeline.dead_letters import DeadLetter
from gateways.pipeline.gone import Gone
from gateways.pipeline.refusal import Refusal
from nsqgw.errors import NSQError
from nsqgw.message import Message

VERSION = 1

MAX_REASON = 1024  # bytes
_LARGE_BODY = 512 * 1024
_MAX_EVENT = 64 * 1024
_MAX_BODY = 256 * 1024 * 1024  # a compressed body that claims to be larger was not written by us

_REQUIRED: dict[str, type] = {
    "time": str,
    "sink": str,
    "topic": str,
    "channel": str,
    "nsqd": str,
    "id": str,
    "timestamp_ns": int,
    "attempts": int,
    "reason": str,
}


class BadLetter(NSQError):
    """A line or message is no dead letter; the text says why."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter that was read back.

    fields  all of the envelope, the body as text under `body` where it is text
    body    the body of the message, byte for byte
    """

    fields: dict[str, Any]
    body: bytes

    @property
    def topic(self) -> str:
        """Where it was published to."""
        return str(self.fields["topic"])

    def message(self) -> Message:
        """The message it was, for sinks: topic, id and timestamp, and so the event key, are the same."""
        return Message(
            self.fields["timestamp_ns"],
            self.fields["attempts"],
            self.fields["id"].encode(),
            self.body,
            Gone(self.topic, str(self.fields["channel"]), str(self.fields["nsqd"])),
        )


def write_letter(letter: DeadLetter, pipeline: str, now: float) -> bytes:
    """The envelope, without an end of line; `now` is seconds since the epoch."""
    message = letter.message
    why = letter.reason if isinstance(letter.reason, Refusal) else Refusal(letter.reason)
    fields: dict[str, Any] = {
        "v": VERSION,
        "time": datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="milliseconds"),
        "pipeline": pipeline,
        "sink": letter.sink,
        "topic": message.topic,
        "channel": message.channel,
        "nsqd": message.nsqd_address,
        "id": message.id.decode("ascii", "backslashreplace"),
        "timestamp_ns": message.timestamp,
        "attempts": message.attempts,
        "class": why.kind,
        "status": why.status,
        "code": why.code or None,
        "reason": " ".join(why.split()).encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore"),
        **_packed("body", message.body),
    }
    if letter.event and letter.event != message.body and len(letter.event) <= _MAX_EVENT:
        fields |= _packed("event", letter.event)
    return orjson.dumps(fields)


def read_letter(data: bytes) -> Letter:
    """The letter in an envelope of this version. Raises BadLetter."""
    try:
        fields = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadLetter(f"no JSON: {error}") from None
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise BadLetter(f'no dead letter: "v" should be {VERSION}')
    for name, kind in _REQUIRED.items():
        if type(fields.get(name)) is not kind:
            raise BadLetter(f'no dead letter: "{name}" is missing, or of the wrong type')
    return Letter(fields, _unpacked(fields))


def _packed(name: str, data: bytes) -> dict[str, str]:
    if len(data) > _LARGE_BODY:
        return {f"{name}_deflate": base64.b64encode(zlib.compress(data)).decode()}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _unpacked(fields: dict[str, Any]) -> bytes:
    """The body, in whichever form it stands there."""
    try:
        if isinstance(fields.get("body"), str):
            return str(fields["body"]).encode()
        if isinstance(fields.get("body_base64"), str):
            return base64.b64decode(fields["body_base64"], validate=True)
        if isinstance(fields.get("body_deflate"), str):
            return _inflated(base64.b64decode(fields["body_deflate"], validate=True))
    except (binascii.Error, zlib.error, ValueError) as error:
        raise BadLetter(f"no dead letter: its body cannot be read: {error}") from None
    raise BadLetter('no dead letter: it has neither "body" nor "body_base64" nor "body_deflate"')


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    body = inflater.decompress(data, _MAX_BODY)
    if not inflater.eof:
        raise ValueError("it is cut off, or too large")
    return body
