"""`type = "decode"`: the body into fields. What cannot be decoded is a dead letter, left out, or wrapped."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, model_validator

from gateways.ship.transforms.decoders import (
    MESSAGE_FIELD,
    Undecodable,
    decode_json,
    decode_msgpack,
    decode_plain,
)
from gateways.ship.transforms.lines import access_log_decoder, csv_decoder, pairs_decoder, pattern_decoder
from gateways.ship.transforms.logfmt import decode_logfmt
from gateways.ship.transforms.syslog import decode_syslog
from gateways.ship.transforms.transform import Record, Reject, StepSettings, Transform

_Decoder = Callable[[Record, bytes], dict[str, Any]]
_Failed = Callable[[Record, str], "Record | Reject | None"]

_OF_FORMATS = {
    "pattern": ("regex",),
    "columns": ("csv",),
    "separator": ("csv", "pairs"),
    "between": ("pairs",),
}
"""Settings that belong to some formats only."""

_SEPARATORS = {"csv": ",", "pairs": ";"}


class DecodeSettings(StepSettings):
    """Read the body as `format`; every other transform that looks at fields comes after this one.

    on_error     `dead_letter`, `drop` (counted), or `wrap`: the event goes on as {"message": text,
                 "decode_error": why}, bytes that are no UTF-8 as {"message_base64": ...}
    pattern      of `regex`: RE2, its named groups are the fields
    columns      of `csv`: their names
    separator    between the values of `csv` (a comma) or the pairs of `pairs` (a semicolon)
    between      of `pairs`: what stands between a name and its value
    charset      of the text; another than utf-8 is made UTF-8 before it is read
    bad_bytes    bytes that the charset does not have: `error`, or `replace` puts U+FFFD in their place
    """

    type: Literal["decode"] = "decode"
    format: Literal["json", "msgpack", "logfmt", "syslog", "plain", "regex", "csv", "pairs", "access_log"]
    on_error: Literal["dead_letter", "drop", "wrap"] = "dead_letter"
    pattern: str | None = None
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    separator: str | None = Field(default=None, min_length=1)
    between: str | None = Field(default=None, min_length=1)
    charset: Literal["utf-8", "latin-1", "cp1252", "utf-16"] = "utf-8"
    bad_bytes: Literal["error", "replace"] = "error"

    @model_validator(mode="after")
    def _check(self) -> DecodeSettings:
        for name, formats in _OF_FORMATS.items():
            if getattr(self, name) is not None and self.format not in formats:
                raise ValueError(f"{name} is for {' and '.join(formats)}: leave it out of {self.format}")
        for name in ("pattern", "columns"):
            if getattr(self, name) is None and self.format in _OF_FORMATS[name]:
                raise ValueError(f"format {self.format} needs {name}")
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            raise ValueError("columns has a name twice: each makes a field of its own")
        if self.format == "csv" and len(self.separator or ",") != 1:
            raise ValueError(f"separator {self.separator!r} of csv must be one character")
        if self.format == "msgpack" and (self.charset, self.bad_bytes) != ("utf-8", "error"):
            raise ValueError("msgpack is no text: leave out charset and bad_bytes")
        return self

    @property
    def needs_fields(self) -> bool:
        """It makes them."""
        return False

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        failed: _Failed = {"wrap": _wrap, "drop": _drop, "dead_letter": _reject}[self.on_error]
        decoder = self._decoder()
        if (self.charset, self.bad_bytes) != ("utf-8", "error"):
            decoder = _of_charset(decoder, self.charset, "strict" if self.bad_bytes == "error" else "replace")
        # JSON that nothing changes later stays the bytes that it is.
        changed = self.format != "json" or self.charset != "utf-8" or self.bad_bytes != "error"
        return lambda record: _decode(record, decoder, failed, changed)

    def _decoder(self) -> _Decoder:
        if self.format == "syslog":
            return lambda record, body: decode_syslog(body, record.message.timestamp)
        separator = self.separator or _SEPARATORS.get(self.format, "")
        makers: dict[str, Callable[[], Callable[[bytes], dict[str, Any]]]] = {
            "json": lambda: decode_json,
            "msgpack": lambda: decode_msgpack,
            "logfmt": lambda: decode_logfmt,
            "plain": lambda: decode_plain,
            "regex": lambda: pattern_decoder(self.pattern or ""),
            "csv": lambda: csv_decoder(self.columns or (), separator),
            "pairs": lambda: pairs_decoder(separator, self.between or "="),
            "access_log": access_log_decoder,
        }
        decode = makers[self.format]()
        return lambda record, body: decode(body)


def _of_charset(decoder: _Decoder, charset: str, errors: str) -> _Decoder:
    def decode(record: Record, body: bytes) -> dict[str, Any]:
        try:
            return decoder(record, body.decode(charset, errors).encode())
        except UnicodeDecodeError as error:
            raise Undecodable(f"no {charset}: byte {body[error.start]:#04x} at {error.start}") from None

    return decode


def _decode(record: Record, decoder: _Decoder, failed: _Failed, changed: bool) -> Record | Reject | None:
    try:
        record.fields = decoder(record, record.message.body)
    except Undecodable as error:
        return failed(record, str(error))
    record.decoded = True
    record.changed = changed
    return record


def _reject(record: Record, reason: str) -> Reject:
    return Reject(reason)


def _drop(record: Record, reason: str) -> None:
    return None


def _wrap(record: Record, reason: str) -> Record:
    body = record.message.body
    try:
        record.fields = {MESSAGE_FIELD: body.decode()}
    except UnicodeDecodeError:
        record.fields = {f"{MESSAGE_FIELD}_base64": base64.b64encode(body).decode()}
    record.fields["decode_error"] = reason
    record.decoded = record.changed = True
    return record
