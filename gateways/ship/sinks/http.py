"""Any HTTP service: batches in several framings, or events one by one, to a fixed or a templated address.

A 2xx answer confirms the whole request; `ok_field` asks for a word in its body, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote_plus

from pydantic import Field, model_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.identity import event_id
from gateways.pipeline.refusal import refusal
from gateways.pipeline.sink import Fate, Outcome
from gateways.service.values import Bytes
from gateways.ship.fields import FieldPath
from gateways.ship.sinks.framings import CONTENT_TYPES, Element, Framing, encoder, enveloped, joined
from gateways.ship.sinks.http_answers import Answer
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase
from gateways.ship.sinks.http_settings import HttpSinkSettings
from gateways.ship.sinks.outcomes import Failure, outcome_of
from gateways.ship.sinks.parts import addressed
from gateways.ship.sinks.rendering import rendered_or
from gateways.ship.sinks.settings import Masked, MaskedTemplate
from gateways.ship.template import Template, in_url, leads_elsewhere
from nsqgw.message import Message

_RESULTS_BYTES = 1024 * 1024


class HttpSettings(HttpSinkSettings):
    """What requests look like; see `HttpSinkSettings` for the rest."""

    type: Literal["http"] = "http"
    method: Literal["POST", "PUT", "PATCH", "GET"] = Field(
        default="POST", description="GET puts each event into the URL, in place of %s"
    )
    framing: Framing = Field(
        default="ndjson", description="how the events of a batch become a body; one: a request for each"
    )
    prefix: str = Field(default="", description="with framing template: what a body begins with")
    separator: str = Field(default=",", description="with framing template: what stands between two events")
    suffix: str = Field(default="", description="with framing template: what a body ends with")
    element: Element = Field(
        default="json",
        description='with framing template: text as a JSON string, any event as an object ({"message": ...}),'
        " or bodies as they are",
    )
    path: MaskedTemplate = Field(
        default="", description="template of a path below the URL; values are escaped for their place"
    )
    fallback_path: Masked = Field(
        default="", description="for events that lack a field of the path, or would lead out of it by dots"
    )
    content_type: str = Field(default="", description="by default that of the framing")
    idempotency_key: bool = Field(
        default=False, description="send Idempotency-Key, the same whenever the same events are sent"
    )
    message_headers: bool = Field(
        default=False, description="with framing one: X-NSQ-Topic, -Id, -Attempts and -Timestamp"
    )
    envelope: bool = Field(
        default=False, description="each event is an object with topic, id, timestamp (ns), attempts and body"
    )
    ok_field: str = Field(
        default="", description="field of a JSON answer that must have the value of ok_value"
    )
    ok_value: str | int | bool = Field(default="ok", description="see ok_field")
    results_field: str = Field(
        default="",
        description="field of a JSON answer with a list that has a result for each event, in order",
    )
    result_field: str = Field(
        default="status",
        description="field of a result: an HTTP status, or a word that confirms as result_ok",
    )
    result_ok: str | int | bool = Field(default="ok", description="see result_field; any other word refuses")
    requests_at_once: int = Field(default=8, ge=1, le=1000, description="of one batch, where it is several")
    max_events: int = Field(default=0, ge=0, description="of one request; 0 for no limit")
    max_bytes: Bytes = Field(default=0, ge=0, description="of one request, uncompressed; 0 for no limit")
    max_event_bytes: Bytes = Field(default=0, ge=0, description="of one event; 0 for no limit")

    @model_validator(mode="after")
    def _check(self) -> HttpSettings:
        if self.message_headers and self.framing != "one":
            raise ValueError("message_headers goes with framing = one: a batch has many messages")
        if (self.prefix or self.suffix) and self.framing != "template":
            raise ValueError("prefix and suffix go with framing = template")
        if self.path and not self.path.startswith(("/", "?")):
            raise ValueError(f"path {self.path!r} must begin with / or ?")
        return self

    def make(self, concurrency: int) -> HttpSink:
        """The sink, with at most `concurrency` batches at once."""
        return HttpSink(self, concurrency)


class HttpSink(HttpSinkBase):
    """The place of an event is its path, where that is not the same for all."""

    kind = "http"
    pages_confirm = True

    def __init__(self, settings: HttpSettings, concurrency: int) -> None:
        self.at_once = settings.requests_at_once
        super().__init__(settings, concurrency)
        self._settings = settings
        self._path = Template(settings.path, escape=in_url)
        self._ok_field = FieldPath(settings.ok_field) if settings.ok_field else None
        self._results = FieldPath(settings.results_field) if settings.results_field else None
        self._result = FieldPath(settings.result_field)
        if self._results is not None:
            self.keep_bytes = _RESULTS_BYTES
        self._content_type = settings.content_type or CONTENT_TYPES[settings.framing]
        self._encode_body = encoder(settings.framing, settings.element)
        self._around = tuple(each.encode() for each in (settings.prefix, settings.separator, settings.suffix))
        if settings.framing == "template":
            self.event_overhead = len(self._around[1])
        self.has_places = not self._path.is_constant
        self._is_plain = not (self.has_places or settings.envelope)
        self.one_by_one = settings.framing == "one" or settings.method == "GET"
        self.max_events = settings.max_events
        self.max_bytes = settings.max_bytes
        self.max_event_bytes = settings.max_event_bytes

    def encode(self, message: Message) -> bytes:
        """As the framing has it; wherever that is right, the body itself."""
        if self._is_plain:
            return self._encode_body(message.body)
        event = self._encode_body(enveloped(message) if self._settings.envelope else message.body)
        if not self.has_places:
            return event
        path = rendered_or(self._path, message, self._settings.fallback_path)
        return addressed(event, self._settings.fallback_path if leads_elsewhere(path) else path)

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """The events in one body, or one of them in the URL."""
        settings = self._settings
        path = place if self.has_places else self._settings.path or None
        if settings.method == "GET":
            return HttpRequest(b"", method="GET", path=path, fill=quote_plus(batch.events[0]))
        headers = {"Content-Type": self._content_type}
        if settings.idempotency_key:
            keys = "\n".join([event_id(message) for message in batch.messages])
            headers["Idempotency-Key"] = hashlib.sha256(keys.encode()).hexdigest()
        if settings.message_headers:
            headers |= message_headers(batch.messages[0])
        return HttpRequest(self._body(batch.events), headers, settings.method, path)

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """By status; then by the word asked for. A GET is confirmed by 200 alone, as with nsq_to_http."""
        outcome = super().judge(batch, answer)
        if outcome.fate is not Fate.CONFIRMED:
            return outcome
        if self._settings.method == "GET" and answer.status != 200:
            return Outcome(Fate.RETRY, f"{answer.summary}, where only 200 confirms a GET")
        if self._ok_field is not None and self._ok_field.get(answer.document()) != self._settings.ok_value:
            return Outcome(
                Fate.RETRY, f"{answer.summary}, but its {self._ok_field.text} is not as it must be"
            )
        return outcome if self._results is None else self._by_results(self._results, batch, answer)

    def _body(self, events: Sequence[bytes]) -> bytes:
        if self._settings.framing != "template":
            return joined(self._settings.framing, events)
        prefix, separator, suffix = self._around
        return prefix + separator.join(events) + suffix

    def _by_results(self, path: FieldPath, batch: Batch, answer: Answer) -> Outcome:
        """Each event has the fate that its own result tells."""
        results = path.get(answer.document())
        if not isinstance(results, list) or len(results) != len(batch):
            return Outcome(Fate.RETRY, f"{answer.summary} without a result for each event in {path.text}")
        fates = [self._fate_of(result) for result in results]
        return outcome_of(
            len(batch), {index: each for index, each in enumerate(fates) if each[0] is not Fate.CONFIRMED}
        )

    def _fate_of(self, result: Any) -> Failure:
        """What a result may say beside its status may repeat the event, so it is not told."""
        said = self._result.get(result) if isinstance(result, dict) else None
        if said == self._settings.result_ok:
            return Fate.CONFIRMED, ""
        if isinstance(said, int) and not isinstance(said, bool):
            return self._rules.fate(said), refusal(f"result {self._result.text} {said}", status=said)
        return Fate.REJECTED, refusal(f"result without {self._result.text} as it must be")


def message_headers(message: Message) -> dict[str, str]:
    """What a message is, as headers of the request that carries it."""
    return {
        "X-NSQ-Topic": message.topic,
        "X-NSQ-Id": message.id.decode("ascii", "backslashreplace"),
        "X-NSQ-Attempts": str(message.attempts),
        "X-NSQ-Timestamp": str(message.timestamp),
    }
