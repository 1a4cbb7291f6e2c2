"""Datadog's log intake: a JSON list of objects, the attributes it knows filled in where they are absent."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateways.pipeline.batch import Batch
from gateways.service.values import Bytes, Secret
from gateways.ship.sinks.compression import Compression
from gateways.ship.sinks.documents import document
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase
from gateways.ship.sinks.http_settings import HttpSinkSettings
from gateways.ship.sinks.rendering import rendered, rendered_list, templates
from gateways.ship.sinks.settings import TemplateText, Urls
from gateways.ship.template import Template
from nsqgw.message import Message


class DatadogSettings(HttpSinkSettings):
    """An API key and what Datadog is told of each event; `url` depends on the site."""

    type: Literal["datadog"] = "datadog"
    url: Urls = Field(
        default=("https://http-intake.logs.datadoghq.com",),
        description="scheme and host of the site's intake, such as https://http-intake.logs.datadoghq.eu",
    )
    api_key: Secret = Field(description="sent as DD-API-KEY")
    source: TemplateText = Field(default="nsq", description="template of ddsource")
    service: TemplateText = Field(default="{topic}", description="template")
    hostname: TemplateText = Field(default="", description="template; empty for none")
    tags: tuple[TemplateText, ...] = Field(default=(), description="templates such as env:prod")
    compression: Compression = Field(default="gzip", description="of request bodies")
    max_events: int = Field(default=1000, gt=0, description="of one request")
    max_bytes: Bytes = Field(default=5_000_000, gt=0, description="of one request, uncompressed")
    max_event_bytes: Bytes = Field(
        default=1_000_000, gt=0, description="of one event; Datadog would cut it and say nothing"
    )

    def make(self, concurrency: int) -> DatadogSink:
        """The sink, with at most `concurrency` batches at once."""
        return DatadogSink(self, concurrency)


class DatadogSink(HttpSinkBase):
    """Any 2xx confirms the batch."""

    kind = "datadog"

    def __init__(self, settings: DatadogSettings, concurrency: int) -> None:
        super().__init__(settings, concurrency)
        texts = {"ddsource": settings.source, "service": settings.service, "hostname": settings.hostname}
        self._attributes = templates(texts)
        self._tags = [Template(tag) for tag in settings.tags]
        self._api_key = settings.api_key
        self.max_events = settings.max_events
        self.max_bytes = settings.max_bytes
        self.max_event_bytes = settings.max_event_bytes

    def encode(self, message: Message) -> bytes:
        """The object, with the time of publishing in milliseconds."""
        added: dict[str, object] = {"timestamp": message.timestamp // 1_000_000}
        added |= rendered(self._attributes, message)
        if tags := rendered_list(self._tags, message):
            added["ddtags"] = ",".join(tags)
        return document(message, added)

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """The list of the events."""
        headers = {"Content-Type": "application/json", "DD-API-KEY": self._api_key.get_secret_value()}
        return HttpRequest(b"[" + b",".join(batch.events) + b"]", headers, path="/api/v2/logs")
