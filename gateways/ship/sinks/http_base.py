"""What all sinks over HTTP share: requests to hosts in turn, compressed, with credentials; what answers mean.

A sink says how a batch becomes a request and, where its service has a contract of its own, what an answer
means. Redirects are not followed, certificates are verified, and nothing of an answer goes into a reason that
everybody sees: it may repeat what was sent, credentials too.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import random
import ssl
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar
from weakref import WeakKeyDictionary

from tornado.httputil import RequestStartLine

from gateways.pipeline.batch import Batch
from gateways.pipeline.refusal import refusal
from gateways.pipeline.sink import Fate, Outcome, SinkUnusable
from gateways.ship.sinks.compression import Compressor
from gateways.ship.sinks.endpoints import (
    Endpoint,
    EndpointPool,
    note_answer,
    note_failure,
    parse_endpoint,
)
from gateways.ship.sinks.http_answers import Answer, StatusRules
from gateways.ship.sinks.http_client import HttpClient
from gateways.ship.sinks.http_settings import HttpSinkSettings, fits_header
from gateways.ship.sinks.oauth2 import ClientCredentials
from gateways.ship.sinks.parts import Part, Settled, by_place, send_parts
from nsqgw.config import USER_AGENT
from nsqgw.errors import ConfigError, ConnectionFailed, NSQError
from nsqgw.message import Message
from nsqgw.service.settings import mask_url

logger = logging.getLogger(__name__)

_KEEP_BYTES = 64 * 1024
_SHOWN_BYTES = 300

Judge = Callable[[Answer], Outcome]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, the same to every host.

    fill     takes the place of %s in the URL
    path     below the path of the host's URL, with a query if there is one; None for that URL itself
    headers  beside the common ones
    """

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    path: str | None = None
    fill: str | None = None


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature can be made of: the request as it goes to one host, its body compressed."""

    method: str
    target: str
    host: str
    body: bytes


class HttpSinkBase(abc.ABC):
    """A sink that sends a batch as one request, or as one for each place that its events name."""

    kind: ClassVar[str]
    event_overhead = len(b"\n")
    max_events = 0
    max_bytes = 0
    max_event_bytes = 0
    """Most bytes of one event, encoded; larger ones are refused here. 0 for no limit."""
    health: HttpRequest | None = None
    """What shows whether the service is well and does no harm; None where its vendor tells of nothing."""
    keep_bytes = _KEEP_BYTES
    """How much of an answer is kept for `judge`."""
    pages_confirm = False
    """Whether a 2xx counts that comes with a page of HTML."""
    keeps_refused = True
    """Whether a connection may be used again after a request was refused."""
    has_places = False
    """Whether events are `Addressed`."""
    one_by_one = False
    """Whether each event is a request of its own."""
    at_once = 8
    """Requests for the parts of one batch that are under way together."""

    def __init__(self, settings: HttpSinkSettings, concurrency: int) -> None:
        self._endpoints = EndpointPool(
            [parse_endpoint(url) for url in settings.url], settings.balance, random.random
        )
        self._where = mask_url(settings.url[0])
        self.name = f"{self.kind} {self._endpoints.first.address.host}"
        self._settings_of_base = settings
        self._concurrency = concurrency
        self._rules = StatusRules(
            frozenset(settings.ok_status), frozenset(settings.retry_status), frozenset(settings.reject_status)
        )
        self._headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._authorization = settings.authorization()
        self._settled: WeakKeyDictionary[Batch, Settled] = WeakKeyDictionary()
        self.answers: Counter[str] = Counter()
        self._client: HttpClient | None = None
        self._compressor: Compressor | None = None
        self._oauth2: ClientCredentials | None = None

    async def open(self) -> None:
        """Nothing is sent: a service that is down at the start is waited for, as at any other time."""
        settings = self._settings_of_base
        self._compressor = Compressor(settings.compression, settings.compression_level)
        self._client = HttpClient(
            tls=settings.tls.config(),
            connect_timeout=settings.connect_timeout,
            request_timeout=settings.request_timeout,
            max_idle=self._concurrency * (self.at_once if self.has_places or self.one_by_one else 1),
            keep_refused=self.keeps_refused,
        )
        urls = list(settings.url)
        if settings.oauth2 is not None:
            urls.append(settings.oauth2.token_url)
            self._oauth2 = ClientCredentials(settings.oauth2, self._client)
        try:
            await self._client.prepare(with_tls=any(url.startswith("https:") for url in urls))
        except ConfigError as error:
            raise SinkUnusable(f"{self.describe()}: {error}") from error

    @abc.abstractmethod
    def encode(self, message: Message) -> bytes:
        """See `Sink.encode`."""

    @abc.abstractmethod
    def request(self, batch: Batch, place: str) -> HttpRequest:
        """The request that carries a batch; its events all go to `place`, "" where they name none."""

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """What an answer means for the batch; by its status, unless a service has more to say.

        A page for people is no log service's answer: it comes from something in between.
        """
        outcome = self._rules.classify(answer)
        if outcome.fate is Fate.CONFIRMED and not self.pages_confirm and answer.is_page:
            return Outcome(Fate.RETRY, f"{answer.summary} with a page for people, not the service's answer")
        return outcome

    def signature(self, request: SignedRequest) -> Mapping[str, str]:
        """Headers that prove who sends this very request; none for most services."""
        return {}

    async def probe(self) -> None:
        """Connect to every host, with TLS where it has it, and ask for its health. Raises SinkUnusable."""
        assert self._client is not None, "the sink was not opened"
        for endpoint in self._endpoints:
            request = self.health
            if request is None:
                try:
                    await self._client.reach(endpoint.address)
                    continue
                except (NSQError, OSError) as error:
                    outcome = _failure(error)
            else:
                outcome = await self._try(endpoint, request, request.headers, b"", self._rules.classify)
            if outcome.fate is not Fate.CONFIRMED:
                raise SinkUnusable(f"{mask_url(str(endpoint.address))}: {outcome.reason}")

    def requests_of(self, batch: Batch) -> int:
        """See `gateways.pipeline.rate.TakesRequests`."""
        if self.one_by_one:
            return len(batch)
        return len(by_place(batch.events, range(len(batch)))) if self.has_places else 1

    async def send(self, batch: Batch) -> Outcome:
        """Send the batch and say what the answer means.

        One that takes several requests and was cut off in between goes on where it was.
        """
        settled = self._settled.get(batch) or self.settle(batch)
        if not (settled or self.has_places or self.one_by_one):
            return await self.send_part("", batch)
        indexes = [index for index in range(len(batch)) if index not in settled]
        parts = list(by_place(batch.events, indexes).items())
        if self.one_by_one:
            parts = [(place, [index]) for place, members in parts for index in members]
        if len(parts) == 1 and not settled:
            return await self.send_part(parts[0][0], batch)
        self._settled[batch] = settled
        lanes = self.lanes(parts)
        outcome = await send_parts(batch, lanes, self.send_part, at_once=self.at_once, settled=settled)
        del self._settled[batch]
        return outcome

    async def send_part(self, place: str, batch: Batch) -> Outcome:
        """One request, for events that all go to `place`."""
        outcome = await self.deliver(self.request(batch, place), lambda answer: self.judge(batch, answer))
        if outcome.unsure and outcome.fate is Fate.CONFIRMED:
            return replace(outcome, unsure=False, sent_again=len(batch))
        return outcome

    async def close(self) -> None:
        """Cut the requests under way."""
        if self._client is not None:
            await self._client.close()

    def describe(self) -> str:
        others = len(self._endpoints) - 1
        return f"{self._where} (and {others} more)" if others else self._where

    def lanes(self, parts: Sequence[Part]) -> Sequence[Sequence[Part]]:
        """Which parts of a batch wait for each other: none, where their order is of no importance."""
        return [[part] for part in parts]

    def settle(self, batch: Batch) -> Settled:
        """What becomes of events that are not sent at all: those that are too large."""
        limit = self.max_event_bytes
        if not limit or batch.size <= limit:
            return {}
        return {
            index: (
                Fate.REJECTED,
                refusal(f"{len(event)} bytes are more than the {limit} that an event may have", "too_large"),
            )
            for index, event in enumerate(batch.events)
            if len(event) > limit
        }

    async def deliver(self, request: HttpRequest, judge: Judge) -> Outcome:
        """Send a request to the host whose turn it is; where it fails, to the next one at once.

        A host that may be tried again later is left alone for a while, by all requests; where one needs a
        person, the others are asked all the same. Only when none is left is the batch the pipeline's to try
        again. One that is confirmed is `unsure` when it was sent before without an answer.
        """
        assert self._compressor is not None, "the sink was not opened"
        body = await self._compressor(request.body) if request.body else b""
        headers = {"User-Agent": USER_AGENT, **request.headers}
        if body:
            headers |= self._compressor.headers
        clock = asyncio.get_running_loop().time
        unsure = False
        for endpoint in self._endpoints.order(clock()):
            started = clock()
            endpoint.in_flight += 1
            try:
                outcome = await self._try(endpoint, request, headers, body, judge)
            finally:
                endpoint.in_flight -= 1
            unsure |= outcome.unsure
            if outcome.fate is Fate.RETRY and outcome.per_event is None:
                note_failure(endpoint, clock(), outcome.retry_after)
            else:
                note_answer(endpoint, clock() - started)
                if outcome.fate is not Fate.BLOCKED or outcome.per_event is not None:
                    break
            if len(self._endpoints) > 1:
                logger.info("%s: %s", mask_url(str(endpoint.address)), outcome.reason)
        return replace(outcome, unsure=True) if unsure and not outcome.unsure else outcome

    async def ask(self, url: str, judge: Judge) -> Outcome:
        """GET any page with what requests of this sink have: credentials, TLS, time limits."""
        return await self._try(parse_endpoint(url), HttpRequest(b"", method="GET"), {}, b"", judge)

    async def _try(
        self, endpoint: Endpoint, request: HttpRequest, headers: Mapping[str, str], body: bytes, judge: Judge
    ) -> Outcome:
        assert self._client is not None, "the sink was not opened"
        address, target = endpoint.address, endpoint.target_of(request.path)
        if request.fill is not None:
            target = target.replace("%s", request.fill)
        authorization = self._authorization or address.authorization
        if self._oauth2 is not None:
            granted = await self._oauth2.header()
            if isinstance(granted, Outcome):
                return granted
            authorization = granted
        common = {"Authorization": authorization} if authorization is not None else {}
        proof = self.signature(SignedRequest(request.method, target, address.origin, body))
        start = RequestStartLine(request.method, target, "HTTP/1.1")
        all_headers = {**common, **headers, **self._headers, **proof}
        unfit = [name for name, value in all_headers.items() if not fits_header(value)]
        if unfit:
            return Outcome(
                Fate.BLOCKED, f"header {unfit[0]} has line ends, or letters that no header may have"
            )
        try:
            answer = await self._client.request(address, start, all_headers, body, self.keep_bytes)
        except (asyncio.TimeoutError, NSQError, OSError) as error:
            self.answers["none"] += 1
            return _failure(error)
        self.answers[str(answer.status)] += 1
        outcome = judge(answer)
        if answer.sent_again:
            outcome = replace(outcome, unsure=True)
        if self._oauth2 is not None and self._oauth2.note(authorization or "", answer.status):
            return Outcome(Fate.RETRY, f"{answer.summary}: the token is not taken any more")
        if outcome.fate is not Fate.CONFIRMED and answer.body and logger.isEnabledFor(logging.DEBUG):
            text = " ".join(answer.body[:_SHOWN_BYTES].decode("utf-8", "replace").split())
            logger.debug("%s: %s, and says: %s", self.describe(), outcome.reason, text)
        return outcome


def _failure(error: asyncio.TimeoutError | NSQError | OSError) -> Outcome:
    """What it means that there was no answer; certificates that do not fit are somebody's to mend."""
    if isinstance(error, asyncio.TimeoutError):
        return Outcome(Fate.RETRY, "Timeout: no answer in time", unsure=True)
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Outcome(Fate.BLOCKED, f"its certificate is not accepted: {cause.verify_message}")
    if isinstance(error, ConnectionFailed) and isinstance(cause, ssl.SSLError):
        return Outcome(Fate.BLOCKED, f"no TLS with it: {cause.reason or cause}")
    return Outcome(Fate.RETRY, str(error), unsure=not isinstance(error, ConnectionFailed))
