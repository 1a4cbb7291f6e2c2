"""Log records of OpenTelemetry in its two encodings: what a sink needs of each, record by record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from gateways.ship.sinks import protobuf
from gateways.ship.sinks.http_answers import Answer

_SCOPE = "nsqgw"
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `time` in nanoseconds, `severity` 0 for none, `body` a text or a decoded JSON object."""

    time: int
    body: Any
    attributes: Mapping[str, str]
    severity: int = 0
    severity_text: str = ""


class Encoding(Protocol):
    """How records and requests become bytes."""

    content_type: str

    def record(self, record: Record) -> bytes:
        """One record."""

    def request(self, services: Iterable[tuple[str, list[bytes]]]) -> bytes:
        """All records, by the name of the service that they are of."""

    def rejected(self, answer: Answer) -> int:
        """How many records a successful answer says were rejected. Raises ValueError for any other."""


class JsonEncoding:
    """As protobuf's mapping to JSON has it: 64-bit numbers are text, enumerations numbers."""

    content_type = "application/json"

    def record(self, record: Record) -> bytes:
        """One record."""
        time = str(record.time)
        found: dict[str, object] = {"timeUnixNano": time, "observedTimeUnixNano": time}
        if record.severity_text:
            found |= {"severityNumber": record.severity, "severityText": record.severity_text}
        found["body"] = _json_value(record.body)
        found["attributes"] = _json_pairs(record.attributes)
        return orjson.dumps(found)

    def request(self, services: Iterable[tuple[str, list[bytes]]]) -> bytes:
        """One resource for each service, with one scope."""
        resources = []
        for service, records in services:
            resource = orjson.dumps({"attributes": _json_pairs({"service.name": service})})
            scope = orjson.dumps({"scope": {"name": _SCOPE}})[:-1]
            scope += b',"logRecords":[' + b",".join(records) + b"]}"
            resources.append(b'{"resource":' + resource + b',"scopeLogs":[' + scope + b"]}")
        return b'{"resourceLogs":[' + b",".join(resources) + b"]}"

    def rejected(self, answer: Answer) -> int:
        """`partialSuccess.rejectedLogRecords`, text or a number."""
        if not answer.body:
            return 0
        found = answer.json()
        if not isinstance(found, dict):
            raise ValueError("no JSON object")
        partial = found.get("partialSuccess") or {}
        count = partial.get("rejectedLogRecords", 0) if isinstance(partial, dict) else None
        if not isinstance(count, int | str):
            raise ValueError("no number of rejected records")
        return int(count)


class ProtobufEncoding:
    """As opentelemetry/proto/logs/v1/logs.proto has it; the numbers are its fields."""

    content_type = "application/x-protobuf"

    def record(self, record: Record) -> bytes:
        """One record."""
        parts = [protobuf.fixed64(1, record.time)]
        if record.severity_text:
            parts += protobuf.varint(2, record.severity), protobuf.text(3, record.severity_text)
        parts.append(protobuf.nested(5, _value(record.body)))
        parts += [protobuf.nested(6, _pair(key, value)) for key, value in record.attributes.items()]
        parts.append(protobuf.fixed64(11, record.time))
        return b"".join(parts)

    def request(self, services: Iterable[tuple[str, list[bytes]]]) -> bytes:
        """One resource for each service, with one scope."""
        resources = []
        for service, records in services:
            resource = protobuf.nested(1, protobuf.nested(1, _pair("service.name", service)))
            scope = protobuf.nested(1, protobuf.text(1, _SCOPE))
            logs = protobuf.nested(2, scope, *(protobuf.nested(2, record) for record in records))
            resources.append(protobuf.nested(1, resource, logs))
        return b"".join(resources)

    def rejected(self, answer: Answer) -> int:
        """The same, in fields 1 and 1 again."""
        if not answer.complete:
            raise ValueError("longer than any answer")
        partial = dict(protobuf.fields(answer.body)).get(1, b"")
        count = dict(protobuf.fields(partial)).get(1, 0) if isinstance(partial, bytes) else None
        if not isinstance(count, int):
            raise ValueError("no number of rejected records")
        return count


def _json_pairs(values: Mapping[str, str]) -> list[dict[str, object]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def _json_value(value: Any, depth: int = 0) -> dict[str, object]:
    """A JSON value as AnyValue; what is nested deeper than collectors read is text."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if _fits(value) else {"stringValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if value is None:
        return {}
    if depth >= _MAX_DEPTH:
        return {"stringValue": orjson.dumps(value).decode()}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_json_value(each, depth + 1) for each in value]}}
    pairs = [{"key": key, "value": _json_value(each, depth + 1)} for key, each in value.items()]
    return {"kvlistValue": {"values": pairs}}


def _pair(key: str, value: Any, depth: int = 0) -> bytes:
    return protobuf.text(1, key) + protobuf.nested(2, _value(value, depth))


def _value(value: Any, depth: int = 0) -> bytes:
    """The same in protobuf."""
    if isinstance(value, bool):
        return protobuf.varint(2, value)
    if isinstance(value, int):
        return protobuf.varint(3, value) if _fits(value) else protobuf.text(1, str(value))
    if isinstance(value, float):
        return protobuf.double(4, value)
    if isinstance(value, str):
        return protobuf.text(1, value)
    if value is None:
        return b""
    if depth >= _MAX_DEPTH:
        return protobuf.text(1, orjson.dumps(value).decode())
    if isinstance(value, list):
        return protobuf.nested(5, *(protobuf.nested(1, _value(each, depth + 1)) for each in value))
    return protobuf.nested(
        6, *(protobuf.nested(1, _pair(key, each, depth + 1)) for key, each in value.items())
    )


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63
