"""OpenTelemetry's logs over OTLP/HTTP: one record an event, one resource for each service name."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateways.pipeline.batch import Batch
from gateways.pipeline.event import fields_of
from gateways.pipeline.refusal import refusal
from gateways.pipeline.sink import Fate, Outcome
from gateways.service.values import Bytes
from gateways.ship.sinks.documents import body_text
from gateways.ship.sinks.http_answers import Answer
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase
from gateways.ship.sinks.http_settings import HttpSinkSettings
from gateways.ship.sinks.otlp_records import Encoding, JsonEncoding, ProtobufEncoding, Record
from gateways.ship.sinks.parts import addressed, by_place
from gateways.ship.sinks.rendering import rendered, rendered_or, templates
from gateways.ship.sinks.settings import TemplateText
from gateways.ship.template import Template
from nsqgw.message import Message

_SEVERITIES = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "warning": 13, "error": 17, "fatal": 21}
_SEVERITIES |= {"notice": 10, "critical": 21, "err": 17, "crit": 21, "alert": 22, "emerg": 24}


class OtlpSettings(HttpSinkSettings):
    """A collector, and what a record says beside its body."""

    type: Literal["otlp"] = "otlp"
    service_name: TemplateText = Field(
        default="{topic}", description="template of the resource's service.name"
    )
    attributes: dict[str, TemplateText] = Field(
        default={"nsq.topic": "{topic}", "nsq.message_id": "{id}"}, description="templates, for each record"
    )
    body: Literal["text", "structured"] = Field(
        default="text", description="JSON objects as they are written, or as OTLP's own maps and lists"
    )
    encoding: Literal["protobuf", "json"] = Field(default="protobuf", description="of requests")
    severity_field: str = Field(
        default="", description="field with a name such as info or error; empty: none"
    )
    max_bytes: Bytes = Field(default=4_000_000, gt=0, description="of one request, uncompressed")

    def make(self, concurrency: int) -> OtlpSink:
        """The sink, with at most `concurrency` batches at once."""
        return OtlpSink(self, concurrency)


class OtlpSink(HttpSinkBase):
    """A record travels encoded; the place of an event is its service name."""

    kind = "otlp"

    def __init__(self, settings: OtlpSettings, concurrency: int) -> None:
        super().__init__(settings, concurrency)
        self._settings = settings
        self._encoding: Encoding = JsonEncoding() if settings.encoding == "json" else ProtobufEncoding()
        self._service = Template(settings.service_name)
        self._attributes = templates(settings.attributes)
        self.max_bytes = settings.max_bytes

    def encode(self, message: Message) -> bytes:
        """The record, with the message's time."""
        fields = fields_of(message) if self._needs_fields else None
        severity = fields.get(self._settings.severity_field) if fields else None
        severity_text = severity if isinstance(severity, str) else ""
        structured = fields is not None and self._settings.body == "structured"
        record = Record(
            max(0, message.timestamp),  # the field is unsigned
            fields if structured else body_text(message.body),
            rendered(self._attributes, message),
            _SEVERITIES.get(severity_text.lower(), 0),
            severity_text,
        )
        service = rendered_or(self._service, message, "unknown_service")
        return addressed(self._encoding.record(record), service)

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """All records of the batch."""
        services = by_place(batch.events, range(len(batch)))
        body = self._encoding.request(
            (service, [batch.events[index] for index in indexes]) for service, indexes in services.items()
        )
        return HttpRequest(body, {"Content-Type": self._encoding.content_type}, path="/v1/logs")

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """A part that was rejected must not be sent again, and nobody says which: all are dead letters.

        Those of them that were taken are there and among the dead letters; none is lost.
        """
        outcome = super().judge(batch, answer)
        if outcome.fate is not Fate.CONFIRMED:
            return outcome
        try:
            rejected = self._encoding.rejected(answer)
        except ValueError:
            return Outcome(Fate.RETRY, f"{answer.summary}, but no answer that OTLP knows")
        if rejected == 0:
            return outcome
        words = f"{rejected} of {len(batch)} records were rejected, this one may be among them"
        reason = refusal(words, "partial_unknown", status=answer.status)
        return Outcome(Fate.REJECTED, reason, per_event=[Fate.REJECTED] * len(batch))

    @property
    def _needs_fields(self) -> bool:
        return self._settings.body == "structured" or bool(self._settings.severity_field)
