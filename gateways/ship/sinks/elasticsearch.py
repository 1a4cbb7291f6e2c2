"""Elasticsearch and OpenSearch: `_bulk` requests whose items are answered one by one.

Each document has the event's key for an id, so that one which comes again is refused as there already: that
counts as stored. The index name is a template; the time in it is the message's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlencode

import orjson
from pydantic import Field, field_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.identity import event_id
from gateways.pipeline.refusal import refusal
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from gateways.service.values import Bytes, Secret
from gateways.ship.sinks.documents import document, iso_time
from gateways.ship.sinks.http_answers import RETRY_STATUS, Answer
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase
from gateways.ship.sinks.http_settings import HttpSinkSettings
from gateways.ship.sinks.outcomes import Failure, outcome_of
from gateways.ship.sinks.rendering import rendered_or
from gateways.ship.sinks.settings import TemplateText
from gateways.ship.template import Template, in_index
from nsqgw.message import Message

_SHOWN_OF_ITEMS = "errors,items.*.status,items.*.error.type"
_ANSWER_BYTES_PER_EVENT = 1000
_ALREADY_THERE = 409
_PLACES = re.compile(r"\{[^{}]*\}|%.")


class ElasticsearchSettings(HttpSinkSettings):
    """A cluster, given by any of its nodes, and the index that events go to."""

    type: Literal["elasticsearch"] = "elasticsearch"
    index: TemplateText = Field(
        default="logs-{topic}-%Y.%m.%d", description="template of the index or data stream"
    )
    fallback_index: str = Field(
        default="logs-unrouted", description="for events that lack a field of the template"
    )
    action: Literal["create", "index"] = Field(
        default="create", description="data streams take only create; index overwrites"
    )
    id: Literal["key", "none"] = Field(
        default="key", description="none is cheaper for the cluster and stores redelivered events twice"
    )
    api_key: Secret | None = Field(default=None, description="sent as `Authorization: ApiKey ...`")
    timestamp_field: str = Field(
        default="@timestamp", description="filled with the time of publishing if absent; empty for never"
    )
    pipeline: str = Field(default="", description="ingest pipeline")
    routing: TemplateText = Field(default="", description="template of the routing value")
    require_data_stream: bool = Field(default=False, description="refuse to create an ordinary index")
    max_events: int = Field(default=2500, gt=0, description="of one request")
    max_bytes: Bytes = Field(default=5_000_000, gt=0, description="of one request, uncompressed")

    @field_validator("index", "fallback_index")
    @classmethod
    def _check_index(cls, value: str) -> str:
        fixed = _PLACES.sub("", value)
        if not value or fixed != in_index(fixed) or value[0] in "-_+.":
            raise ValueError(
                f"index {value!r} is no name the cluster takes: write lower case, a letter or digit in front,"
                ' and neither spaces nor \\ / * ? " < > | , # :'
            )
        return value

    def authorization(self) -> str | None:
        """The API key, else as for any other sink."""
        if self.api_key is not None:
            return f"ApiKey {self.api_key.get_secret_value()}"
        return super().authorization()

    def make(self, concurrency: int) -> ElasticsearchSink:
        """The sink, with at most `concurrency` batches at once."""
        return ElasticsearchSink(self, concurrency)


class ElasticsearchSink(HttpSinkBase):
    """An event is two lines, action and document."""

    kind = "elasticsearch"
    health = HttpRequest(b"", method="GET", path="/")

    def __init__(self, settings: ElasticsearchSettings, concurrency: int) -> None:
        super().__init__(settings, concurrency)
        self._settings = settings
        self._has_keys = settings.id == "key"
        self._index = Template(settings.index, escape=in_index)
        self._routing = Template(settings.routing) if settings.routing else None
        self.max_events = settings.max_events
        self.max_bytes = settings.max_bytes
        self.keep_bytes = max(self.keep_bytes, settings.max_events * _ANSWER_BYTES_PER_EVENT)
        query = {"filter_path": _SHOWN_OF_ITEMS}
        if settings.pipeline:
            query["pipeline"] = settings.pipeline
        if settings.require_data_stream:
            query["require_data_stream"] = "true"
        self._query = urlencode(query, safe=",*.")

    def encode(self, message: Message) -> bytes:
        """The two lines; a body that is no JSON object is the text of a `message` field."""
        settings = self._settings
        action = {"_index": self._index_of(message)}
        if settings.id == "key":
            action["_id"] = event_id(message)
        if self._routing is not None:
            action["routing"] = rendered_or(self._routing, message, "")
        added = {settings.timestamp_field: iso_time(message.timestamp)} if settings.timestamp_field else {}
        return orjson.dumps({settings.action: action}) + b"\n" + document(message, added)

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """All lines; the last one needs its end, too."""
        body = b"\n".join(batch.events) + b"\n"
        return HttpRequest(body, {"Content-Type": "application/x-ndjson"}, path=f"/_bulk?{self._query}")

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """A 200 says nothing of the items. A 400 for the whole request is no fault of an event."""
        if answer.status == 400:
            return Outcome(Fate.BLOCKED, f"{answer.summary} for the request as a whole")
        outcome = super().judge(batch, answer)
        if outcome.fate is not Fate.CONFIRMED:
            return outcome
        found = answer.document()
        if found.get("errors") is False:
            return CONFIRMED
        items = found.get("items")
        if not isinstance(items, list) or len(items) != len(batch):
            return Outcome(Fate.RETRY, f"{answer.summary} that does not answer for each of the events")
        outcome = outcome_of(len(batch), self._failures(items))
        there = sum(_result_of(item).get("status") == _ALREADY_THERE for item in items)
        return replace(outcome, duplicates=there) if there and self._has_keys else outcome

    def _failures(self, items: Sequence[Any]) -> dict[int, Failure]:
        failures: dict[int, Failure] = {}
        for index, item in enumerate(items):
            fate, reason = self._fate_of(_result_of(item))
            if fate is not Fate.CONFIRMED:
                failures[index] = fate, reason
        return failures

    def _fate_of(self, result: dict[str, Any]) -> Failure:
        """An item's reason may repeat the document, so only the error's type is told."""
        status, error = result.get("status"), result.get("error")
        kind = error.get("type") if isinstance(error, dict) else None
        if not isinstance(status, int):
            return Fate.RETRY, "an item without a status"
        code = kind[:100] if isinstance(kind, str) else ""
        reason = refusal(f"item status {status} {code}".rstrip(), status=status, code=code)
        if 200 <= status < 300 or (status == _ALREADY_THERE and self._has_keys):
            return Fate.CONFIRMED, ""
        if status in RETRY_STATUS or status >= 500 or status == _ALREADY_THERE:
            return Fate.RETRY, reason
        return (Fate.REJECTED if status in (400, 413, 422) else Fate.BLOCKED), reason

    def _index_of(self, message: Message) -> str:
        return rendered_or(self._index, message, self._settings.fallback_index)


def _result_of(item: Any) -> dict[str, Any]:
    """What stands under the name of the action."""
    result = next(iter(item.values()), None) if isinstance(item, dict) else None
    return result if isinstance(result, dict) else {}
