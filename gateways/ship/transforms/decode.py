"""`type = "decode"`: the body into fields. What cannot be decoded is a dead letter, or is wrapped whole."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Literal

from gateways.ship.transforms.decoders import (
    MESSAGE_FIELD,
    Undecodable,
    decode_json,
    decode_msgpack,
    decode_plain,
)
from gateways.ship.transforms.logfmt import decode_logfmt
from gateways.ship.transforms.syslog import decode_syslog
from gateways.ship.transforms.transform import Record, Reject, StepSettings, Transform

_DECODERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "json": decode_json,
    "msgpack": decode_msgpack,
    "logfmt": decode_logfmt,
    "plain": decode_plain,
}


class DecodeSettings(StepSettings):
    """Read the body as `format`; every other transform that looks at fields comes after this one.

    on_error  `dead_letter`, or `wrap`: the event goes on as {"message": text, "decode_error": why}, bytes
              that are no UTF-8 as {"message_base64": ...}
    """

    type: Literal["decode"] = "decode"
    format: Literal["json", "msgpack", "logfmt", "syslog", "plain"]
    on_error: Literal["dead_letter", "wrap"] = "dead_letter"

    @property
    def needs_fields(self) -> bool:
        """It makes them."""
        return False

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        failed = _wrap if self.on_error == "wrap" else _reject
        if self.format == "syslog":
            return lambda record: _decode(
                record, lambda body: decode_syslog(body, record.message.timestamp), failed, True
            )
        decoder = _DECODERS[self.format]
        # JSON that nothing changes later stays the bytes that it is.
        changed = self.format != "json"
        return lambda record: _decode(record, decoder, failed, changed)


def _decode(
    record: Record,
    decoder: Callable[[bytes], dict[str, Any]],
    failed: Callable[[Record, str], Record | Reject],
    changed: bool,
) -> Record | Reject:
    try:
        record.fields = decoder(record.message.body)
    except Undecodable as error:
        return failed(record, str(error))
    record.decoded = True
    record.changed = changed
    return record


def _reject(record: Record, reason: str) -> Reject:
    return Reject(reason)


def _wrap(record: Record, reason: str) -> Record:
    body = record.message.body
    try:
        record.fields = {MESSAGE_FIELD: body.decode()}
    except UnicodeDecodeError:
        record.fields = {f"{MESSAGE_FIELD}_base64": base64.b64encode(body).decode()}
    record.fields["decode_error"] = reason
    record.decoded = record.changed = True
    return record
