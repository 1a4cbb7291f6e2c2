"""Grafana Loki: lines in streams, which are told apart by few labels, in order of time.

The time of a line is the message's, so Loki itself drops a line that comes again to the same stream.
"""

from __future__ import annotations

import re
from typing import Literal

import orjson
from pydantic import Field, field_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import Fate, Outcome
from gateways.service.values import Bytes
from gateways.ship.sinks.documents import body_text
from gateways.ship.sinks.http_answers import Answer
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase
from gateways.ship.sinks.http_settings import HttpSinkSettings
from gateways.ship.sinks.parts import addressed, by_place
from gateways.ship.sinks.rendering import rendered, templates
from gateways.ship.sinks.settings import TemplateText
from nsqgw.message import Message

_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_INGESTION_BLOCKED = 260


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
        self.max_bytes = settings.max_bytes

    def encode(self, message: Message) -> bytes:
        """`["<ns>","line"]`, with the metadata for a third element."""
        entry: list[object] = [str(message.timestamp), body_text(message.body)]
        if metadata := rendered(self._metadata, message):
            entry.append(metadata)
        return addressed(orjson.dumps(entry), orjson.dumps(rendered(self._labels, message)).decode())

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """All streams of the batch, each in order of time."""
        streams = []
        for labels, indexes in by_place(batch.events, range(len(batch))).items():
            indexes.sort(key=lambda index: batch.messages[index].timestamp)
            values = b",".join([batch.events[index] for index in indexes])
            streams.append(b'{"stream":' + (labels.encode() or b"{}") + b',"values":[' + values + b"]}")
        body = b'{"streams":[' + b",".join(streams) + b"]}"
        headers = {"Content-Type": "application/json", **self._tenant}
        return HttpRequest(body, headers, path="/loki/api/v1/push")

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """260 says that ingestion is blocked: nothing was stored."""
        if answer.status == _INGESTION_BLOCKED:
            return Outcome(Fate.RETRY, "HTTP 260: ingestion is blocked")
        return super().judge(batch, answer)
