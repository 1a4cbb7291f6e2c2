"""Bodies into fields: JSON, MessagePack and plain text; each reads all of the body or says why it cannot.

JSON must be an object, or it is put under `message`. Integers keep every digit; decimals are read as 64-bit
floats, and written as such when the event was changed.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any

import msgpack
import orjson

MESSAGE_FIELD = "message"
"""Where a body goes that is no object."""

_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_INTEGERS = (b"0" * 20, b"-" + b"0" * 19)  # orjson reads what exceeds 64 bits as a float
_MAX_SHOWN = 100


class Undecodable(ValueError):
    """The body is not of the format; the text says what is wrong, in one short line."""


def decode_json(body: bytes) -> dict[str, Any]:
    """The fields of a JSON object. Raises Undecodable."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Undecodable(f"no JSON: {error}") from None
    zeros = body.translate(_DIGITS_AS_ZEROS)
    if _LONG_INTEGERS[0] in zeros or _LONG_INTEGERS[1] in zeros:
        value = _with_long_integers(body)
    return value if isinstance(value, dict) else {MESSAGE_FIELD: value}


def encode_json(fields: dict[str, Any]) -> bytes:
    """The JSON object that has these fields. Raises ValueError for what JSON cannot hold."""
    try:
        return orjson.dumps(fields)
    except TypeError as error:
        reason = str(error)
    try:
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, RecursionError):
        raise ValueError(reason) from None


def decode_msgpack(body: bytes) -> dict[str, Any]:
    """The fields of a MessagePack map; see `_as_json` for what JSON has no words for. Raises Undecodable."""
    try:
        value = msgpack.unpackb(body, raw=False, strict_map_key=False)
        fields = _as_json(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        text = str(error) or type(error).__name__
        raise Undecodable(f"no MessagePack: {text[:_MAX_SHOWN]}") from None
    return fields if isinstance(fields, dict) else {MESSAGE_FIELD: fields}


def decode_plain(body: bytes) -> dict[str, Any]:
    """The text, without one newline at its end, under `message`. Raises Undecodable for what is no UTF-8."""
    return {MESSAGE_FIELD: decode_text(body).removesuffix("\n")}


def decode_text(body: bytes) -> str:
    """The body as text. Raises Undecodable for what is no UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Undecodable(f"no UTF-8: byte {body[error.start]:#04x} at {error.start}") from None


def _with_long_integers(body: bytes) -> Any:
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"no JSON that can be read exactly: {error}") from None


def _as_json(value: Any) -> Any:
    """Bytes become text, in base64 when they are no UTF-8; timestamps RFC 3339; keys text.

    Raises TypeError for extension types, ValueError for keys that are no plain values or meet.
    """
    if isinstance(value, dict):
        fields = {_as_key(key): _as_json(each) for key, each in value.items()}
        if len(fields) != len(value):
            raise ValueError("two keys of a map have the same text")
        return fields
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    if isinstance(value, bytes):
        return _as_text(value)
    if isinstance(value, msgpack.Timestamp):
        return _rfc3339(value)
    if isinstance(value, msgpack.ExtType):
        raise TypeError(f"extension type {value.code} is not known")
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise ValueError(f"{value} has no place in JSON")
    return value


def _as_key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return _as_text(key)
    if key is None or isinstance(key, bool | int | float):
        return json.dumps(key)
    raise ValueError("a key of a map is no plain value")


def _as_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _rfc3339(value: msgpack.Timestamp) -> str:
    when = datetime(1970, 1, 1) + timedelta(seconds=value.seconds)
    fraction = f".{value.nanoseconds:09d}" if value.nanoseconds else ""
    return f"{when.isoformat()}{fraction}Z"
