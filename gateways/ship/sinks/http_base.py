"""What all sinks over HTTP share: settings, hosts in turn, credentials, compression, and what answers mean.

A sink says how a batch becomes a request and, where its service has a contract of its own, what an answer
means. Redirects are not followed, certificates are verified, and nothing of an answer goes into a reason that
everybody sees: it may repeat what was sent, credentials too.
"""

from __future__ import annotations

import abc
import asyncio
import base64
import logging
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from tornado.httputil import RequestStartLine

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import Fate, Outcome, SinkUnusable
from gateways.ship.sinks.compression import Compression, Compressor
from gateways.ship.sinks.endpoints import (
    Balance,
    Endpoint,
    EndpointPool,
    note_answer,
    note_failure,
    parse_endpoint,
)
from gateways.ship.sinks.http_answers import Answer, StatusRules
from gateways.ship.sinks.http_client import HttpClient
from gateways.ship.sinks.settings import SinkSettings, Urls
from gateways.ship.values import Seconds, Secret
from nsqgw.config import USER_AGENT, TlsConfig
from nsqgw.errors import ConfigError, ConnectionFailed, NSQError
from nsqgw.message import Message
from nsqgw.service.settings import mask_url

logger = logging.getLogger(__name__)

_KEEP_BYTES = 64 * 1024
_SHOWN_BYTES = 300

Judge = Callable[[Answer], Outcome]


class TlsSettings(BaseModel):
    """How to speak TLS with a sink, as in `nsqgw.config.TlsConfig`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: str | None = Field(default=None, description="authorities to trust (PEM), not the system's")
    cert_file: str | None = Field(default=None, description="our own certificate, for hosts that ask")
    key_file: str | None = Field(default=None, description="its key, when it is not in the same file")
    server_name: str | None = Field(default=None, description="the name the certificate must carry")
    verify: bool = Field(default=True, description="false accepts any certificate: anybody may read along")

    @model_validator(mode="after")
    def _check(self) -> TlsSettings:
        try:
            self.config()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def config(self) -> TlsConfig:
        """For the client."""
        return TlsConfig(self.ca_file, self.cert_file, self.key_file, self.server_name, self.verify)


class HttpSinkSettings(SinkSettings):
    """What is set alike for every sink over HTTP; user and password may stand in the URL, too."""

    url: Urls = Field(description="one URL, or a list of hosts that are used in turn")
    balance: Balance = Field(
        default="round_robin", description="which of several hosts is next; one that fails rests for a while"
    )
    username: str | None = Field(default=None, description="for Basic authentication")
    password: Secret | None = Field(default=None, description="for Basic authentication")
    bearer_token: Secret | None = Field(default=None, description="sent as `Authorization: Bearer ...`")
    headers: dict[str, Secret] = Field(default={}, description="further headers of each request")
    compression: Compression = Field(default="none", description="of request bodies")
    compression_level: int | None = Field(
        default=None, ge=0, le=22, description="the format's own levels; by default a fast one"
    )
    connect_timeout: Seconds = Field(default=5.0, gt=0, le=120, description="for TCP and TLS")
    request_timeout: Seconds = Field(default=20.0, gt=0, le=120, description="for a request and its answer")
    ok_status: tuple[int, ...] = Field(default=(), description="statuses that confirm, beside 2xx")
    retry_status: tuple[int, ...] = Field(default=(), description="further statuses to try again after")
    reject_status: tuple[int, ...] = Field(default=(), description="further statuses that refuse the data")
    tls: TlsSettings = Field(default_factory=TlsSettings, description="for https")

    @model_validator(mode="after")
    def _check_headers(self) -> HttpSinkSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together: give both or none")
        if self.username is not None and self.bearer_token is not None:
            raise ValueError("username and bearer_token exclude each other: give one of them")
        for name, value in self.headers.items():
            if any(c in "\r\n\0" for c in name + value.get_secret_value()) or not name.isascii():
                raise ValueError(f"header {name!r} contains what no header may: line ends, or a NUL")
        return self

    def authorization(self) -> str | None:
        """The Authorization header these settings make."""
        if self.bearer_token is not None:
            return f"Bearer {self.bearer_token.get_secret_value()}"
        if self.username is None or self.password is None:
            return None
        secret = f"{self.username}:{self.password.get_secret_value()}"
        return "Basic " + base64.b64encode(secret.encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, the same to every host.

    target   path and query; None for those of the host's URL
    headers  beside the common ones
    """

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    target: str | None = None


class HttpSinkBase(abc.ABC):
    """A sink that sends each batch as one request, unless it overrides `send`."""

    kind: ClassVar[str]
    event_overhead = len(b"\n")
    max_events = 0
    max_bytes = 0
    keep_bytes = _KEEP_BYTES
    """How much of an answer is read for `judge`."""

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
        self._client: HttpClient | None = None
        self._compressor: Compressor | None = None

    async def open(self) -> None:
        """Nothing is sent: a service that is down at the start is waited for, as at any other time."""
        settings = self._settings_of_base
        self._compressor = Compressor(settings.compression, settings.compression_level)
        self._client = HttpClient(
            tls=settings.tls.config(),
            connect_timeout=settings.connect_timeout,
            request_timeout=settings.request_timeout,
            max_idle=self._concurrency,
        )
        try:
            await self._client.prepare(with_tls=any(url.startswith("https:") for url in settings.url))
        except ConfigError as error:
            raise SinkUnusable(f"{self.describe()}: {error}") from error

    @abc.abstractmethod
    def encode(self, message: Message) -> bytes:
        """See `Sink.encode`."""

    @abc.abstractmethod
    def request(self, batch: Batch) -> HttpRequest:
        """The request that carries a batch."""

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """What an answer means for the batch; by its status, unless a service has more to say."""
        return self._rules.classify(answer)

    async def send(self, batch: Batch) -> Outcome:
        """Send the batch and say what the answer means."""
        return await self.deliver(self.request(batch), lambda answer: self.judge(batch, answer))

    async def close(self) -> None:
        """Cut the requests under way."""
        if self._client is not None:
            await self._client.close()

    def describe(self) -> str:
        others = len(self._endpoints) - 1
        return f"{self._where} (and {others} more)" if others else self._where

    async def deliver(self, request: HttpRequest, judge: Judge) -> Outcome:
        """Send a request to the host whose turn it is; where it fails, to the next one at once.

        A host that may be tried again later is left alone for a while, by all requests. Only when none is
        left is the batch the pipeline's to try again.
        """
        assert self._compressor is not None, "the sink was not opened"
        body = await self._compressor(request.body) if request.body else b""
        headers = {"User-Agent": USER_AGENT, **request.headers}
        if body:
            headers |= self._compressor.headers
        clock = asyncio.get_running_loop().time
        for endpoint in self._endpoints.order(clock()):
            started = clock()
            endpoint.in_flight += 1
            try:
                outcome = await self._try(endpoint, request, headers, body, judge)
            finally:
                endpoint.in_flight -= 1
            if outcome.fate is not Fate.RETRY or outcome.per_event is not None:
                note_answer(endpoint, clock() - started)
                break
            note_failure(endpoint, clock(), outcome.retry_after)
            if len(self._endpoints) > 1:
                logger.info("%s: %s", mask_url(str(endpoint.address)), outcome.reason)
        return outcome

    async def _try(
        self, endpoint: Endpoint, request: HttpRequest, headers: Mapping[str, str], body: bytes, judge: Judge
    ) -> Outcome:
        assert self._client is not None, "the sink was not opened"
        start = RequestStartLine(request.method, request.target or endpoint.target, "HTTP/1.1")
        authorization = self._authorization or endpoint.address.authorization
        common = {"Authorization": authorization} if authorization is not None else {}
        try:
            answer = await self._client.request(
                endpoint.address, start, {**common, **headers, **self._headers}, body, self.keep_bytes
            )
        except asyncio.TimeoutError:
            return Outcome(Fate.RETRY, "Timeout: no answer in time")
        except (NSQError, OSError) as error:
            return _failure(error)
        outcome = judge(answer)
        if outcome.fate is not Fate.CONFIRMED and answer.body and logger.isEnabledFor(logging.DEBUG):
            text = " ".join(answer.body[:_SHOWN_BYTES].decode("utf-8", "replace").split())
            logger.debug("%s: %s, and says: %s", self.describe(), outcome.reason, text)
        return outcome


def _failure(error: NSQError | OSError) -> Outcome:
    """What it means that there was no answer; certificates that do not fit are somebody's to mend."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Outcome(Fate.BLOCKED, f"its certificate is not accepted: {cause.verify_message}")
    if isinstance(error, ConnectionFailed) and isinstance(cause, ssl.SSLError):
        return Outcome(Fate.BLOCKED, f"no TLS with it: {cause.reason or cause}")
    return Outcome(Fate.RETRY, str(error))
