"""Splunk's HTTP Event Collector: events with metadata, or raw lines; with indexer acknowledgement on demand.

Without acknowledgement, success means that Splunk has received the events, not that they are indexed. With it
a batch is confirmed when the indexers have it; what they do not acknowledge in time is sent again.
"""

from __future__ import annotations

import logging
import uuid
from typing import Literal
from urllib.parse import urlencode

import orjson
from pydantic import Field, model_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.event import fields_of
from gateways.pipeline.refusal import refusal
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from gateways.service.values import Bytes, Seconds, Secret
from gateways.ship.sinks.documents import body_text
from gateways.ship.sinks.http_answers import Answer
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase
from gateways.ship.sinks.http_settings import HttpSinkSettings
from gateways.ship.sinks.outcomes import outcome_of
from gateways.ship.sinks.rendering import rendered, templates
from gateways.ship.sinks.settings import TemplateText
from gateways.ship.sinks.splunk_acks import Acknowledgements
from gateways.ship.template import Template
from nsqgw.message import Message

logger = logging.getLogger(__name__)

_NEWLINES = bytes.maketrans(b"\r\n", b"  ")
_CODES = {
    **dict.fromkeys((1, 2, 3, 4, 7, 10, 11, 14, 16), Fate.BLOCKED),
    **dict.fromkeys((5, 6, 12, 13, 15), Fate.REJECTED),
    **dict.fromkeys((8, 9, 18, 19, 20, 23), Fate.RETRY),
}
_INCORRECT_INDEX = 7
_ACK_DISABLED = 14
_METADATA = ("host", "source", "sourcetype", "index")


class SplunkSettings(HttpSinkSettings):
    """A collector and its token, and what Splunk is told of each event."""

    type: Literal["splunk"] = "splunk"
    token: Secret = Field(description="of the collector")
    mode: Literal["event", "raw"] = Field(default="event", description="events with metadata, or lines")
    host: TemplateText = Field(default="", description="template; empty for none")
    source: TemplateText = Field(default="nsq:{topic}", description="template")
    sourcetype: TemplateText = Field(default="_json", description="template")
    index: TemplateText = Field(default="", description="template; empty for the token's own")
    acknowledge: bool = Field(default=False, description="confirm when the indexers have it; one URL only")
    ack_interval: Seconds = Field(
        default=2.0, gt=0, le=60, description="between questions for acknowledgement"
    )
    ack_timeout: Seconds = Field(default=300.0, gt=0, le=600, description="then the batch is sent again")
    max_bytes: Bytes = Field(default=1_000_000, gt=0, description="of one request, uncompressed")

    @model_validator(mode="after")
    def _check(self) -> SplunkSettings:
        if self.acknowledge and len(self.url) > 1:
            raise ValueError("acknowledge goes with one url: another host knows nothing of a host's batches")
        if self.mode == "raw":
            for name in self.model_fields_set.intersection(_METADATA):
                if not Template(getattr(self, name)).is_constant:
                    raise ValueError(
                        f"{name} is the same for all events in mode raw: write it without places"
                    )
        return self

    def authorization(self) -> str | None:
        """Splunk's own scheme."""
        return f"Splunk {self.token.get_secret_value()}"

    def patience(self) -> float:
        """The indexers take their time; that is no failure before `ack_timeout`."""
        return self.request_timeout + self.ack_timeout if self.acknowledge else 0.0

    def make(self, concurrency: int) -> SplunkSink:
        """The sink, with at most `concurrency` batches at once."""
        return SplunkSink(self, concurrency)


class SplunkSink(HttpSinkBase):
    """Events stand one after the other, without commas or a list around them."""

    kind = "splunk"
    health = HttpRequest(b"", method="GET", path="/services/collector/health")

    def __init__(self, settings: SplunkSettings, concurrency: int) -> None:
        super().__init__(settings, concurrency)
        self._raw = settings.mode == "raw"
        self._metadata = templates({name: getattr(settings, name) for name in _METADATA})
        self._has_index_by_event = bool(settings.index) and not Template(settings.index).is_constant
        self._channel = str(uuid.uuid4())
        self._path = f"/services/collector/{settings.mode}"
        self._fixed = {name: text.text for name, text in self._metadata.items() if text.is_constant}
        self._acks: Acknowledgements | None = None
        self._is_warned = False  # that the token acknowledges nothing
        if settings.acknowledge:
            self._acks = Acknowledgements(self._ask, settings.ack_interval, settings.ack_timeout)
        self.max_bytes = settings.max_bytes

    def encode(self, message: Message) -> bytes:
        """An object with the body as JSON where it is some, else as text; in mode raw a line."""
        if self._raw:
            return message.body.strip(b"\r\n").translate(_NEWLINES) or b" "
        event: dict[str, object] = {"time": message.timestamp / 1e9}
        event |= rendered(self._metadata, message)
        if fields_of(message) is not None:
            event["event"] = orjson.Fragment(message.body)
        else:
            event["event"] = body_text(message.body) or " "  # a blank event is refused, code 13
        return orjson.dumps(event)

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """The events, with the channel that acknowledgements are asked for on."""
        channel = self._acks.channel_for(batch) if self._acks is not None else self._channel
        path = self._path
        if self._raw:
            path += "?" + urlencode({"channel": channel, **self._fixed})
        headers = {"Content-Type": "application/json", "X-Splunk-Request-Channel": channel}
        return HttpRequest(b"\n".join(batch.events), headers, path=path)

    async def send(self, batch: Batch) -> Outcome:
        """Send the batch; with acknowledgement, wait for it. A batch that waits already is not sent twice."""
        if self._acks is None:
            return await super().send(batch)
        if not self._acks.is_pending(batch):
            outcome = await super().send(batch)
            if outcome.fate is Fate.RETRY:
                self._acks.change_channel()
            if outcome.fate is not Fate.CONFIRMED or not self._acks.is_pending(batch):
                return outcome
        return await self._acks.wait(batch)

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """The code in the body says more than the status; the text with it is Splunk's own."""
        outcome = super().judge(batch, answer)
        found = answer.document()
        code = found.get("code")
        if outcome.fate is Fate.CONFIRMED:
            return self._accepted(batch, answer, code, found.get("ackId"))
        if not isinstance(code, int) or code not in _CODES or outcome.fate is Fate.TOO_LARGE:
            return outcome
        fate = _CODES[code]
        reason = refusal(f"{answer.summary}, code {code}", status=answer.status, code=code)
        if code == _INCORRECT_INDEX and self._has_index_by_event:
            fate = Fate.REJECTED
        bad = found.get("invalid-event-number")
        if fate is Fate.REJECTED and isinstance(bad, int) and 0 <= bad < len(batch):
            return self._one_bad(len(batch), bad, reason)
        return Outcome(fate, reason, outcome.retry_after)

    async def close(self) -> None:
        """End the questions for acknowledgement, cut the requests."""
        if self._acks is not None:
            await self._acks.close()
        await super().close()

    def _accepted(self, batch: Batch, answer: Answer, code: object, ack_id: object) -> Outcome:
        if code != 0:
            return Outcome(Fate.RETRY, f"{answer.summary} without Splunk's word that it took the events")
        if self._acks is not None and isinstance(ack_id, int):
            self._acks.expect(batch, ack_id)
            self._is_warned = False
        elif self._acks is not None:
            self._warn_of_token()  # Splunk has the events: to hold them would send them again and again
        return CONFIRMED

    def _warn_of_token(self) -> None:
        """Once, until the token acknowledges again."""
        if not self._is_warned:
            logger.warning(
                "%s: its token has no indexer acknowledgement, events are confirmed when Splunk has received"
                " them: turn it on there, or set acknowledge = false",
                self.describe(),
            )
        self._is_warned = True

    def _one_bad(self, count: int, bad: int, reason: str) -> Outcome:
        """Those before the bad one are taken, those after it were not read.

        With acknowledgement nobody can say what becomes of the former: they are sent again, too.
        """
        failures = dict.fromkeys(range(bad + 1, count), (Fate.RETRY, "not read, for an event before it"))
        if self._acks is not None:
            failures |= dict.fromkeys(range(bad), (Fate.RETRY, "taken, but never to be acknowledged"))
        return outcome_of(count, {**failures, bad: (Fate.REJECTED, reason)})

    async def _ask(self, channel: str, ack_ids: list[int]) -> dict[int, bool]:
        """Which of these are acknowledged; empty when there is no sensible answer."""
        found: dict[int, bool] = {}

        def read(answer: Answer) -> Outcome:
            acks = answer.document().get("acks") if answer.status == 200 else None
            if isinstance(acks, dict):
                found.update({number: acks.get(str(number)) is True for number in ack_ids})
            elif answer.document().get("code") == _ACK_DISABLED and self._acks is not None:
                self._warn_of_token()
                self._acks.give_up("the token acknowledges nothing any more, it is sent again")
            return CONFIRMED

        body = orjson.dumps({"acks": ack_ids})
        headers = {"Content-Type": "application/json", "X-Splunk-Request-Channel": channel}
        path = f"/services/collector/ack?channel={channel}"
        await self.deliver(HttpRequest(body, headers, path=path), read)
        return found
