"""Loggly: batches to its bulk address, or events one by one to its single one, with tags in the path.

Its answer speaks for the whole request: received, not indexed. It knows no ids, so an event whose answer was
lost can be there twice; `key_field` gives each event a key to search duplicates by.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote

import orjson
from pydantic import Field

from gateways.pipeline.batch import Batch
from gateways.pipeline.event import fields_of
from gateways.pipeline.identity import event_id
from gateways.pipeline.sink import Fate, Outcome
from gateways.service.values import Bytes, Secret
from gateways.ship.sinks.documents import body_text, document, iso_time
from gateways.ship.sinks.http_answers import Answer
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase
from gateways.ship.sinks.http_settings import HttpSinkSettings
from gateways.ship.sinks.ndjson import ndjson_line
from gateways.ship.sinks.parts import addressed
from gateways.ship.sinks.rendering import rendered_list
from gateways.ship.sinks.settings import TemplateText, Urls
from gateways.ship.template import Template
from nsqgw.message import Message

_UNFIT_IN_TAG = re.compile(r"[^A-Za-z0-9._-]")
_NEWLINES = bytes.maketrans(b"\r\n", b"  ")
_CUT_RESERVE = 100  # bytes for what a truncated event says beside its text


class LogglySettings(HttpSinkSettings):
    """A customer token, and how events look there."""

    type: Literal["loggly"] = "loggly"
    url: Urls = Field(default=("https://logs-01.loggly.com",), description="scheme and host")
    token: Secret = Field(description="the customer token; it becomes part of the path")
    tags: tuple[TemplateText, ...] = Field(
        default=(), description="templates; one without a value is left out"
    )
    endpoint: Literal["bulk", "single"] = Field(
        default="bulk", description="single keeps newlines inside an event, at the price of a request each"
    )
    newline: Literal["escape_json", "space", "split"] = Field(
        default="escape_json",
        description='bulk text with newlines: as {"message": ...}, with spaces, or as several events',
    )
    oversize: Literal["dead_letter", "truncate"] = Field(
        default="dead_letter", description="an event above max_event_bytes is refused, or cut"
    )
    timestamp_field: str = Field(default="", description="filled with the time of publishing if absent")
    key_field: str = Field(default="", description="filled with the event's key if absent")
    max_bytes: Bytes = Field(default=5_000_000, gt=0, description="of one request, uncompressed")
    max_event_bytes: Bytes = Field(default=1_000_000, gt=_CUT_RESERVE, description="of one event")

    def make(self, concurrency: int) -> LogglySink:
        """The sink, with at most `concurrency` batches at once."""
        return LogglySink(self, concurrency)


class LogglySink(HttpSinkBase):
    """One line an event; confirmed by status 200 and `{"response":"ok"}`."""

    kind = "loggly"

    def __init__(self, settings: LogglySettings, concurrency: int) -> None:
        super().__init__(settings, concurrency)
        self._settings = settings
        self._tags = [Template(tag) for tag in settings.tags]
        self.max_bytes = settings.max_bytes
        self.max_event_bytes = settings.max_event_bytes
        self.one_by_one = settings.endpoint == "single"
        self.has_places = not all(tag.is_constant for tag in self._tags)
        self._constant_tags = "" if self.has_places else ",".join(map(_tag, settings.tags))
        self._added = [
            (name, value)
            for name, value in (
                (settings.timestamp_field, lambda message: iso_time(message.timestamp)),
                (settings.key_field, event_id),
            )
            if name
        ]

    def encode(self, message: Message) -> bytes:
        """The body itself wherever that is right; JSON on one line."""
        event = self._event(message)
        if len(event) > self.max_event_bytes and self._settings.oversize == "truncate":
            event = _truncated(event, self.max_event_bytes)
        return addressed(event, self._tags_of(message)) if self.has_places else event

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """The lines of the batch, to the address with the token and the tags."""
        tags = quote(place or self._constant_tags, safe=",")
        kind = "inputs" if self.one_by_one else "bulk"
        token = quote(self._settings.token.get_secret_value(), safe="")
        path = f"/{kind}/{token}/tag/{tags}/" if tags else f"/{kind}/{token}/"
        return HttpRequest(b"\n".join(batch.events), {"Content-Type": "text/plain"}, path=path)

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """A 200 counts when it is Loggly who says so: what stands in between may answer that, too."""
        outcome = super().judge(batch, answer)
        if outcome.fate is Fate.CONFIRMED and answer.document().get("response") != "ok":
            return Outcome(Fate.RETRY, f"{answer.summary} without Loggly's word that it took the events")
        return outcome

    def _event(self, message: Message) -> bytes:
        if self._added:
            return document(message, {name: value(message) for name, value in self._added})
        body = message.body
        line = body.rstrip(b"\r\n")
        if not line or line.isspace():
            return orjson.dumps(body.decode())  # a blank line would be no event
        if self.one_by_one or b"\n" not in line:
            return line
        newline = self._settings.newline
        if newline == "escape_json":
            return ndjson_line(body) if body[:1] in b"{[" else document(message, {})
        if newline == "space" or fields_of(message) is not None:
            return body.strip().translate(_NEWLINES)
        return body.strip(b"\r\n")

    def _tags_of(self, message: Message) -> str:
        return ",".join(dict.fromkeys(map(_tag, rendered_list(self._tags, message))))


def _tag(text: str) -> str:
    """A tag with nothing in it that Loggly does not take."""
    return _UNFIT_IN_TAG.sub("_", text)


def _truncated(event: bytes, limit: int) -> bytes:
    """As much of an event as fits, as the text of an object that says so."""
    text = body_text(event)
    size = limit - _CUT_RESERVE
    while True:
        cut = text.encode()[:size].decode("utf-8", "ignore")
        made = orjson.dumps({"message": cut, "truncated": True, "original_bytes": len(event)})
        if len(made) <= limit or not cut:
            return made
        size = size * (limit - _CUT_RESERVE) // len(made)
