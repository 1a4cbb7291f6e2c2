"""Messages to browsers through an nginx that has them connected: nginx-push-stream-module, or nchan.

Each message is one publication to one channel, confirmed by its status. What goes to the same channel is sent
one after the other: nothing overtakes a message that is tried again.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal
from urllib.parse import unquote, urlsplit
from zlib import crc32

from pydantic import Field, field_validator, model_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome, SinkUnusable
from gateways.ship.sinks.http import message_headers
from gateways.ship.sinks.http_answers import Answer
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase
from gateways.ship.sinks.http_settings import HttpSinkSettings, fits_header
from gateways.ship.sinks.nginx_probe import fault_of
from gateways.ship.sinks.parts import Addressed, Part, Settled
from gateways.ship.sinks.rendering import rendered_or
from gateways.ship.sinks.settings import TemplateText, Url
from gateways.ship.template import Template, in_url
from nsqgw.message import Message
from nsqgw.service.settings import mask_url

logger = logging.getLogger(__name__)

EXPLAIN = "X-Nginx-PushStream-Explain"
CHANNEL_PLACE = "{channel}"

_CONFIRMING = (200, 201, 202)
_BACKTRACK = re.compile(r"\.b[0-9]+$")
_NO_ROOM = "Number of channels"  # how the refusal begins that passes once idle channels are collected


class NginxSettings(HttpSinkSettings):
    """An nginx with nginx-push-stream-module or nchan, which pass messages on to browsers."""

    type: Literal["nginx"] = "nginx"
    style: Literal["push-stream", "nchan"] = Field(description="which of the two modules it is")
    channel: TemplateText = Field(
        default="{topic}", min_length=1, description="template of the channel that a message is published to"
    )
    event_id: TemplateText = Field(
        default="{id}", description="template of `Event-Id`, by which browsers resume; push-stream's alone"
    )
    event_type: TemplateText = Field(default="", description="template of the type of event that SSE shows")
    content_type: str = Field(
        default="text/plain; charset=utf-8",
        min_length=1,
        description="nchan keeps it with the message, and sends application/octet-stream as binary frames",
    )
    empty: Literal["skip", "send"] | None = Field(
        default=None,
        description="what becomes of empty messages; by default push-stream, which refuses them, gets none",
    )
    pool: int = Field(default=8, ge=1, le=256, description="connections; each channel keeps to one of them")
    max_events: int = Field(
        default=200, ge=1, le=100_000, description="messages that are published before the next ones begin"
    )
    stats_url: Url | None = Field(
        default=None,
        description="push-stream's statistics or nchan's stub status, asked by `nsqgw ship validate`",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        parts = urlsplit(value[0])
        if len(value) > 1 or CHANNEL_PLACE not in parts.path + parts.query or CHANNEL_PLACE in parts.netloc:
            raise ValueError(
                f"{mask_url(value[0])!r} is no address to publish to: write one with {{channel}} in it,"
                " such as http://127.0.0.1/pub?id={channel}"
            )
        return value

    @field_validator("channel")
    @classmethod
    def _check_channel(cls, value: str) -> str:
        if "/" in "".join(part.rpartition("}")[2] for part in value.split("{")):
            raise ValueError(
                f"channel {value!r} names several channels: take out the slash, and make a sink for each"
            )
        return value

    @model_validator(mode="after")
    def _check_requests(self) -> NginxSettings:
        if self.compression != "none":
            raise ValueError("compression is not for nginx: browsers would get the compressed bytes")
        if not fits_header(self.content_type):
            raise ValueError(f"content_type {self.content_type!r} contains what no header may: line ends")
        return self

    @property
    def skips_empty(self) -> bool:
        """Whether empty messages are left out."""
        return (self.empty or ("skip" if self.style == "push-stream" else "send")) == "skip"

    def make(self, concurrency: int) -> NginxSink:
        """The sink; how much is under way at once is its pool's, whatever `concurrency`."""
        return NginxSink(self)


class Publication(Addressed):
    """A body on its way to the channel that is its place."""

    event_id: str
    event_type: str


class NginxSink(HttpSinkBase):
    """One nginx. A batch has several channels; `pool` of them are published to at once."""

    kind = "nginx"
    has_places = True
    one_by_one = True
    keeps_refused = (
        False  # push-stream refuses without reading the body, which nginx takes for a request then
    )
    in_order: Literal[True] = True

    def __init__(self, settings: NginxSettings) -> None:
        self.at_once = settings.pool
        self.max_events = settings.max_events
        self.skipped = Counter({"empty": 0})
        self._in_path = CHANNEL_PLACE in urlsplit(settings.url[0]).path
        at_channel = settings.url[0].replace(CHANNEL_PLACE, "%s")
        super().__init__(settings.model_copy(update={"url": (at_channel,)}), 1)
        self._settings = settings
        self._channel = Template(settings.channel, escape=in_url)
        self._event_id = Template(settings.event_id if settings.style == "push-stream" else "")
        self._event_type = Template(settings.event_type)
        self._type_header = "Event-Type" if settings.style == "push-stream" else "X-EventSource-Event"

    # -- events

    def encode(self, message: Message) -> bytes:
        """The body itself."""
        event = Publication(message.body)
        event.place = rendered_or(self._channel, message, "")
        event.event_id = _in_header(rendered_or(self._event_id, message, ""))
        event.event_type = _in_header(rendered_or(self._event_type, message, ""))
        return event

    def settle(self, batch: Batch) -> Settled:
        """Those without a usable channel, id or type are refused here; empty ones are left out."""
        settled = super().settle(batch)
        for index, event in enumerate(batch.events):
            assert isinstance(event, Publication)
            fault = self._fault(event)
            if fault is not None:
                settled[index] = (Fate.REJECTED, fault)
            elif not event and self._settings.skips_empty:
                self._skip()
                settled[index] = None
        return settled

    def _fault(self, event: Publication) -> str | None:
        if not event.place:
            return f"no channel: {self._settings.channel} has no value"
        if self._settings.style == "push-stream" and (reason := _not_for_push_stream(event.place)):
            return f"channel {event.place}: push-stream {reason}"
        if self._in_path and _leads_elsewhere(event.place):
            return f"channel {event.place}: nginx would decode it, and publish at another path"
        for value in (event.event_id, event.event_type):
            if not fits_header(value):
                return f"{value!r} cannot be an id or type of an event: it has line ends, or a NUL"
        return None

    def _skip(self) -> None:
        if not self.skipped["empty"]:
            logger.warning("%s: empty messages are left out and counted: nginx takes none", self.describe())
        self.skipped["empty"] += 1

    def lanes(self, parts: Sequence[Part]) -> Sequence[Sequence[Part]]:
        """A channel's messages are all in one lane, in their order."""
        lanes: dict[int, list[Part]] = {}
        for part in sorted(parts, key=lambda part: part[1][0]):
            lanes.setdefault(crc32(part[0].encode()) % self._settings.pool, []).append(part)
        return list(lanes.values())

    # -- requests and answers

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """One publication; its id and time go along for nginx's logs, too."""
        event = batch.events[0]
        assert isinstance(event, Publication)
        headers = {"Content-Type": self._settings.content_type, **message_headers(batch.messages[0])}
        if event.event_id:
            headers["Event-Id"] = event.event_id
        if event.event_type:
            headers[self._type_header] = event.event_type
        return HttpRequest(bytes(event), headers, fill=place)

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """By status. What push-stream explains is about the message; what else is refused, a setting."""
        outcome = super().judge(batch, answer)
        if outcome.fate is Fate.TOO_LARGE:
            return Outcome(Fate.REJECTED, f"{answer.summary}: see client_max_body_size of nginx")
        if outcome.fate is Fate.CONFIRMED:
            confirms = answer.status in (*_CONFIRMING, *self._settings.ok_status)
            return (
                CONFIRMED if confirms else Outcome(Fate.BLOCKED, f"{answer.summary}: no publisher's answer")
            )
        explained = answer.headers.get(EXPLAIN, "")
        if explained and 400 <= answer.status < 500:
            fate = Fate.RETRY if explained.startswith(_NO_ROOM) else Fate.REJECTED
            return Outcome(fate, f"{answer.summary}: {explained}")
        return outcome

    async def probe(self) -> None:
        """Ask for the statistics, or else for a channel that need not exist. Raises SinkUnusable."""
        stats_url, answers = self._settings.stats_url, list[Answer]()

        def keep(answer: Answer) -> Outcome:
            answers.append(answer)
            return CONFIRMED

        if stats_url is None:
            outcome = await self.deliver(HttpRequest(b"", method="GET", fill="nsqgw-validate"), keep)
        else:
            outcome = await self.ask(stats_url, keep)
        if not answers:
            raise SinkUnusable(f"{self.describe()}: {outcome.reason}")
        trouble = fault_of(answers[0], self._settings.style, of_statistics=stats_url is not None)
        if trouble is not None:
            raise SinkUnusable(f"{self.describe()}: {trouble}")


def _not_for_push_stream(channel: str) -> str | None:
    """Why the module would refuse the channel, percent-encoded here, or publish to others."""
    name = unquote(channel)
    if name == "ALL" or "*" in name:
        return "takes it for several channels, and refuses it"
    if "/" in name:
        return "would take its slash for several channels"
    return "would take its end for a backtrack" if _BACKTRACK.search(name) else None


def _leads_elsewhere(channel: str) -> bool:
    """Whether nginx, which decodes a path before it looks for `..` in it, would leave the location."""
    name = unquote(channel)
    return "/" in name or name in (".", "..")


def _in_header(value: str) -> str:
    """UTF-8 as a header carries it."""
    return value.encode("utf-8", "replace").decode("latin-1")
