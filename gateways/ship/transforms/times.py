"""`type = "timestamp"`: a time in whatever form it comes, written in one form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from gateways.ship.fields import MISSING, FieldPath, NoObject
from gateways.ship.transforms.edit import Path
from gateways.ship.transforms.transform import Record, Reject, StepSettings, Transform

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NS = {"epoch_s": 10**9, "epoch_ms": 10**6, "epoch_us": 10**3, "epoch_ns": 1}
_MAX_NS = 253_402_300_800 * 10**9  # the year 10000
RFC3339 = "rfc3339"


class TimestampSettings(StepSettings):
    """Read a time from a field and write it as `output`; where none can be read, NSQ's own time stands in.

    field     where the time is
    into      where it goes; by default to the same field
    formats   tried in turn: `rfc3339`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or strptime's, such
              as "%d/%b/%Y:%H:%M:%S %z"; without a zone it is UTC
    output    `rfc3339`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or strftime's, in UTC
    on_error  what becomes of events of which the time is missing or cannot be read: `nsq_time`, `keep` (the
              field as it is), or `dead_letter`
    """

    type: Literal["timestamp"] = "timestamp"
    field: Path
    into: Path | None = None
    formats: tuple[str, ...] = Field(default=(RFC3339,), min_length=1)
    output: str = RFC3339
    on_error: Literal["nsq_time", "keep", "dead_letter"] = "nsq_time"

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        source, target = FieldPath(self.field), FieldPath(self.into or self.field)
        readers, write, on_error = (
            [_reader(text) for text in self.formats],
            _writer(self.output),
            self.on_error,
        )

        def timestamp(record: Record) -> Record | Reject:
            value = source.get(record.fields)
            ns = _first(readers, value)
            if ns is None:
                if on_error == "keep":
                    return record
                if on_error == "dead_letter":
                    return Reject(f"field {source.text} has no time: {_told(value)}")
                ns = record.message.timestamp
            try:
                target.set(record.fields, write(ns))
            except NoObject as error:
                return Reject(str(error))
            record.changed = True
            return record

        return timestamp


def _first(readers: list[Callable[[Any], int | None]], value: Any) -> int | None:
    if value is MISSING or value is None or isinstance(value, bool):
        return None
    for reader in readers:
        try:
            ns = reader(value)
        except (ValueError, ArithmeticError, TypeError):
            continue
        if ns is not None and 0 <= ns < _MAX_NS:
            return ns
    return None


def _told(value: Any) -> str:
    return "it is missing" if value is MISSING else f"{str(value)[:60]!r}"


def _reader(form: str) -> Callable[[Any], int | None]:
    """A value in this form as nanoseconds since the epoch; or an error for what is in another."""
    if form in _NS:
        return lambda value: _of_number(value, _NS[form])
    if form == RFC3339:
        return _of_rfc3339
    return lambda value: _of_datetime(datetime.strptime(value, form))


def _of_number(value: Any, unit: int) -> int:
    exact = Decimal(str(value)) * unit
    return int(exact) if 0 <= exact < _MAX_NS else -1  # looked at before: it may have a million digits


def _of_rfc3339(value: Any) -> int | None:
    """Fractions of any length count up to the nanosecond; Python before 3.11 reads neither Z nor those."""
    text = str(value).strip().replace(" ", "T", 1)
    if text[-1:] in "zZ":
        text = text[:-1] + "+00:00"
    head, point, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    fraction, zone = (rest[:digits], rest[digits:]) if point else ("", "")
    if "T" not in head or (point and not digits):
        return None
    return _of_datetime(datetime.fromisoformat(head + zone)) + int(fraction[:9].ljust(9, "0") or 0)


def _of_datetime(when: datetime) -> int:
    since = (when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)) - _EPOCH
    return ((since.days * 86400 + since.seconds) * 10**6 + since.microseconds) * 1000


def _writer(form: str) -> Callable[[int], int | str]:
    if form in _NS:
        return lambda ns: ns // _NS[form]
    if form == RFC3339:
        return _as_rfc3339
    return lambda ns: (_EPOCH + timedelta(microseconds=ns // 1000)).strftime(form)


def _as_rfc3339(ns: int) -> str:
    seconds, rest = divmod(ns, 10**9)
    whole = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") + "Z"
