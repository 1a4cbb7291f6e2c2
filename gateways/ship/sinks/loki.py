"""Grafana Loki: lines in streams, which are told apart by few labels, in order of time.

The time of a line is the message's, so Loki itself drops a line that comes again to the same stream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import orjson
from pydantic import Field, field_validator, model_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import Fate, Outcome
from gateways.service.values import Bytes
from gateways.ship.sinks import protobuf
from gateways.ship.sinks.documents import body_text
from gateways.ship.sinks.http_answers import Answer
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase
from gateways.ship.sinks.http_settings import HttpSinkSettings
from gateways.ship.sinks.loki_refusals import Line, named_lines
from gateways.ship.sinks.outcomes import Failure, outcome_of
from gateways.ship.sinks.parts import addressed, by_place
from gateways.ship.sinks.rendering import rendered, templates
from gateways.ship.sinks.settings import TemplateText
from gateways.ship.sinks.snappy_block import block_packer
from nsqgw.message import Message

_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_INGESTION_BLOCKED = 260
_PATH = "/loki/api/v1/push"
_ENTRY_HEAD = 6  # bytes before an entry in protobuf: its field and its length


class LokiSettings(HttpSinkSettings):
    """Where Loki is, and the labels of its streams."""

    type: Literal["loki"] = "loki"
    labels: dict[str, TemplateText] = Field(
        default={"topic": "{topic}"},
        min_length=1,
        description="templates with few values: streams are costly",
    )
    metadata: dict[str, TemplateText] = Field(
        default={}, description="templates of structured metadata, for what has many values"
    )
    encoding: Literal["json", "protobuf"] = Field(
        default="json", description="of requests; protobuf goes in snappy blocks, compressed with the extra"
    )
    tenant: str = Field(default="", description="sent as X-Scope-OrgID")
    max_bytes: Bytes = Field(default=2_000_000, gt=0, description="of one request, uncompressed")

    @field_validator("labels", "metadata")
    @classmethod
    def _check_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _LABEL.fullmatch(name):
                raise ValueError(
                    f"label {name!r} is no name Loki takes: write letters, digits and _, not __ in front"
                )
        return value

    @model_validator(mode="after")
    def _check_encoding(self) -> LokiSettings:
        if self.encoding == "protobuf" and self.compression != "none":
            raise ValueError("encoding protobuf is compressed already: leave out compression")
        return self

    def make(self, concurrency: int) -> LokiSink:
        """The sink, with at most `concurrency` batches at once."""
        return LokiSink(self, concurrency)


class LokiSink(HttpSinkBase):
    """An event is a pair of time and line; the place of an event is its stream."""

    kind = "loki"

    def __init__(self, settings: LokiSettings, concurrency: int) -> None:
        super().__init__(settings, concurrency)
        self._labels = templates(settings.labels)
        self._metadata = templates(settings.metadata)
        self._tenant = {"X-Scope-OrgID": settings.tenant} if settings.tenant else {}
        self._pack = block_packer() if settings.encoding == "protobuf" else None
        self.event_overhead = _ENTRY_HEAD if self._pack is not None else len(b",")
        self.max_bytes = settings.max_bytes

    def encode(self, message: Message) -> bytes:
        """`["<ns>","line"]`, with the metadata for a third element; or the same in protobuf."""
        text, metadata = body_text(message.body), rendered(self._metadata, message)
        place = orjson.dumps(rendered(self._labels, message)).decode()
        if self._pack is not None:
            return addressed(_entry(message.timestamp, text, metadata), place)
        entry: list[object] = [str(message.timestamp), text]
        if metadata:
            entry.append(metadata)
        return addressed(orjson.dumps(entry), place)

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """All streams of the batch, each in order of time."""
        streams: list[tuple[str, list[bytes]]] = []
        for labels, indexes in by_place(batch.events, range(len(batch))).items():
            indexes.sort(key=lambda index: batch.messages[index].timestamp)
            streams.append((labels or "{}", [batch.events[index] for index in indexes]))
        kind = "application/json" if self._pack is None else "application/x-protobuf"
        body = _json_body(streams) if self._pack is None else self._pack(_protobuf_body(streams))
        return HttpRequest(body, {"Content-Type": kind, **self._tenant}, path=_PATH)

    async def send_part(self, place: str, batch: Batch) -> Outcome:
        """Lines that Loki names are left out and the others sent again at once: it has dropped some of them.

        Those it had stored it knows by time and text, and keeps once.
        """
        refused: dict[int, Failure] = {}
        left = list(range(len(batch)))
        while left:
            outcome = await super().send_part(place, batch.pick(left) if refused else batch)
            if outcome.per_event is None:
                break
            reasons = outcome.reasons or {}
            refused |= {left[index]: (Fate.REJECTED, reason) for index, reason in reasons.items()}
            left = [index for index in left if index not in refused]
        if not refused:
            return outcome
        if left and outcome.fate is not Fate.CONFIRMED:
            fate = Fate.BLOCKED if outcome.fate is Fate.BLOCKED else Fate.RETRY
            refused |= dict.fromkeys(left, (fate, outcome.reason))
        return replace(
            outcome_of(len(batch), refused),
            retry_after=outcome.retry_after,
            unsure=outcome.unsure,
            sent_again=outcome.sent_again,
        )

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """260 says that ingestion is blocked: nothing was stored."""
        if answer.status == _INGESTION_BLOCKED:
            return Outcome(Fate.RETRY, "HTTP 260: ingestion is blocked")
        outcome = super().judge(batch, answer)
        if outcome.fate is not Fate.REJECTED:
            return outcome
        named = named_lines(answer.body.decode("utf-8", "replace"), _lines(batch))
        if not named:
            return outcome
        fates = [Fate.REJECTED if index in named else Fate.RETRY for index in range(len(batch))]
        return replace(outcome, per_event=fates, reasons=named)


def _lines(batch: Batch) -> list[Line]:
    labels = {place: json.loads(place or "{}") for place in by_place(batch.events, range(len(batch)))}
    return [
        Line(labels[getattr(event, "place", "")], message.timestamp, len(body_text(message.body).encode()))
        for message, event in zip(batch.messages, batch.events, strict=True)
    ]


def _json_body(streams: Sequence[tuple[str, list[bytes]]]) -> bytes:
    parts = [
        b'{"stream":' + labels.encode() + b',"values":[' + b",".join(entries) + b"]}"
        for labels, entries in streams
    ]
    return b'{"streams":[' + b",".join(parts) + b"]}"


def _protobuf_body(streams: Sequence[tuple[str, list[bytes]]]) -> bytes:
    """PushRequest of logproto: streams with their labels as Prometheus writes them."""
    parts = []
    for labels, entries in streams:
        pairs = ", ".join(
            f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in json.loads(labels).items()
        )
        content = [protobuf.nested(2, entry) for entry in entries]
        parts.append(protobuf.nested(1, protobuf.text(1, "{" + pairs + "}"), *content))
    return b"".join(parts)


def _entry(timestamp: int, text: str, metadata: Mapping[str, str]) -> bytes:
    seconds, nanoseconds = divmod(timestamp, 1_000_000_000)
    time = protobuf.varint(1, seconds) + protobuf.varint(2, nanoseconds)
    pairs = [
        protobuf.nested(3, protobuf.text(1, name), protobuf.text(2, value))
        for name, value in metadata.items()
    ]
    return b"".join((protobuf.nested(1, time), protobuf.text(2, text), *pairs))
