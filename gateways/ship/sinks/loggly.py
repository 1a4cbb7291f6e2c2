"""Loggly: batches to its bulk address, or events one by one to its single one, with tags in the path.

Its answer speaks for the whole request: received, not indexed. It knows no ids, so an event whose answer was
lost can be there twice; `key_field` gives each event a key to search duplicates by.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal
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
from gateways.ship.sinks.parts import Settled, addressed
from gateways.ship.sinks.rendering import rendered_list
from gateways.ship.sinks.settings import TemplateText, Urls
from gateways.ship.template import Template
from nsqgw.message import Message

logger = logging.getLogger(__name__)

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
    oversize: Literal["dead_letter", "truncate", "drop"] = Field(
        default="dead_letter",
        description="an event above max_event_bytes is refused, cut, or left out and counted",
    )
    truncate_field: str = Field(
        default="message",
        description="field to cut in an object where that is enough; else all of it is text",
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
        self.skipped = Counter({"too_large": 0})
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
            event = _truncated(event, self.max_event_bytes, self._settings.truncate_field)
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

    def settle(self, batch: Batch) -> Settled:
        """Those that are too large are refused, or left out."""
        settled = super().settle(batch)
        if self._settings.oversize != "drop" or not settled:
            return settled
        if not self.skipped["too_large"]:
            logger.warning("%s: events that are too large are left out and counted", self.describe())
        self.skipped["too_large"] += len(settled)
        return dict.fromkeys(settled)

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


def _truncated(event: bytes, limit: int, field: str) -> bytes:
    """As much of an event as fits, in an object that says so: its `field` cut, or all of it as text."""
    said = {"truncated": True, "original_bytes": len(event)}
    fields = _fields(event)
    text = fields.get(field)
    if isinstance(text, str):
        rest = len(event) - len(text.encode("utf-8", "replace"))
        if rest < limit - _CUT_RESERVE:
            room = limit - _CUT_RESERVE - rest
            made = _cut(text, limit, room, lambda cut: orjson.dumps({**fields, field: cut, **said}))
            if len(made) <= limit:
                return made
    return _cut(
        body_text(event), limit, limit - _CUT_RESERVE, lambda cut: orjson.dumps({"message": cut, **said})
    )


def _fields(event: bytes) -> dict[str, Any]:
    """Of an object, its numbers as they are written; none of anything else."""
    try:
        found = json.loads(event, parse_float=_as_written, parse_int=_as_written)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _as_written(number: str) -> orjson.Fragment:
    return orjson.Fragment(number)


def _cut(text: str, limit: int, room: int, make: Callable[[str], bytes]) -> bytes:
    """What is made of so much of the text that it fits; of none of it, when nothing fits.

    `room` is what the text may take, escapes included.
    """
    data, size = text.encode("utf-8", "replace"), room
    while True:
        cut = data[:size].decode("utf-8", "ignore")
        made = make(cut)
        if len(made) <= limit or not cut:
            return made
        size = size * room // (len(made) - limit + room)
