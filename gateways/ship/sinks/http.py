"""POST batches as NDJSON to any HTTP service; a 2xx answer confirms the whole batch."""

from __future__ import annotations

from typing import Literal

from gateways.pipeline.batch import Batch
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase, HttpSinkSettings
from gateways.ship.sinks.ndjson import ndjson_line
from nsqgw.message import Message


class HttpSettings(HttpSinkSettings):
    """Requests to any service; see `HttpSink`."""

    type: Literal["http"] = "http"

    def make(self, concurrency: int) -> HttpSink:
        """The sink, with at most `concurrency` batches at once."""
        return HttpSink(self, concurrency)


class HttpSink(HttpSinkBase):
    """One event a line."""

    kind = "http"

    def encode(self, message: Message) -> bytes:
        """One line; see `ndjson_line`."""
        return ndjson_line(message.body)

    def request(self, batch: Batch) -> HttpRequest:
        """The lines of the batch."""
        return HttpRequest(b"\n".join(batch.events) + b"\n", {"Content-Type": "application/x-ndjson"})
