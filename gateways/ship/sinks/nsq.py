"""Messages of another NSQ cluster, published with as few MPUBs as its limits allow; its OK confirms them.

With a broken connection nobody knows what was stored: it is published again, and may be there twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Literal

from pydantic import Field, model_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.refusal import refusal
from gateways.pipeline.sink import Fate, Outcome, Sink, SinkUnusable
from gateways.service.values import Bytes, LookupdAddress, NsqdAddress, Seconds, Secret
from gateways.ship.sinks.http_settings import TlsSettings
from gateways.ship.sinks.outcomes import Failure, outcome_of
from gateways.ship.sinks.settings import SinkSettings, TemplateText
from gateways.ship.sinks.targets import Targets
from gateways.ship.template import Template
from nsqgw import Producer
from nsqgw.config import ConnectionConfig
from nsqgw.connection.tls import client_context
from nsqgw.errors import (
    AuthFailed,
    AuthFirst,
    BadBody,
    BadMessage,
    BadTopic,
    ConfigError,
    ConnectionClosed,
    DeadlineExceeded,
    InvalidName,
    NSQError,
    Unauthorized,
    Unprocessed,
)
from nsqgw.lookup.client import lookup_address
from nsqgw.message import Message
from nsqgw.protocol.names import check_topic

_CLOSE_TIMEOUT = 1.0
_PROBE_TIMEOUT = 4.0  # less than connect_timeout, so that the reason is told
_BLOCKED = (AuthFailed, AuthFirst, BadTopic, ConfigError, Unauthorized)


class NsqSettings(SinkSettings):
    """Topics of another cluster, or of this one: never a topic that the pipeline reads."""

    type: Literal["nsq"] = "nsq"
    nsqd_tcp_addresses: tuple[NsqdAddress, ...] = Field(default=(), description="nsqds, as host:port")
    lookupd_http_addresses: tuple[LookupdAddress, ...] = Field(
        default=(), description="nsqlookupds, as host:port or URL"
    )
    topic: TemplateText = Field(default="{topic}", min_length=1, description="a template")
    tls: TlsSettings | None = Field(default=None, description="an empty table does for TLS")
    auth_secret: Secret | None = Field(default=None, description="for nsqds that ask for AUTH")
    max_message_size: Bytes = Field(default=1024 * 1024, ge=1, description="the nsqds' -max-msg-size")
    max_batch_size: Bytes = Field(default=5 * 1024 * 1024, ge=16, description="the nsqds' -max-body-size")
    publish_timeout: Seconds = Field(default=20.0, gt=0, le=120, description="for a batch")

    @model_validator(mode="after")
    def _check(self) -> NsqSettings:
        if not self.nsqd_tcp_addresses and not self.lookupd_http_addresses:
            raise ValueError("no nsqd: give nsqd_tcp_addresses or lookupd_http_addresses")
        return self

    def make(self, concurrency: int) -> Sink:
        """The sink; its batches share a connection to each nsqd."""
        return NsqSink(self)


class NsqSink:
    """One producer, over all nsqds."""

    name = "nsq"
    event_overhead = 4
    max_events = 0
    max_bytes = 0

    def __init__(self, settings: NsqSettings) -> None:
        self._settings = settings
        self._targets = Targets(Template(settings.topic))
        self._producer: Producer | None = None

    async def open(self) -> None:
        """Nothing is sent: a cluster that is down at the start is waited for, as at any other time."""
        settings = self._settings
        secret = settings.auth_secret
        try:
            tls = settings.tls.config() if settings.tls is not None else None
            if tls is not None:
                await asyncio.to_thread(client_context, tls)
            self._producer = Producer(
                settings.nsqd_tcp_addresses,
                lookupd_http_addresses=settings.lookupd_http_addresses,
                connection=ConnectionConfig(
                    tls=tls or False, auth_secret=secret.get_secret_value() if secret is not None else None
                ),
                publish_timeout=settings.publish_timeout,
                max_message_size=settings.max_message_size,
                max_batch_size=settings.max_batch_size,
            )
        except ConfigError as error:
            raise SinkUnusable(f"{self.describe()}: {error}") from error
        await self._producer.start()

    async def probe(self) -> None:
        """Until an nsqd is connected. Raises NotConnected."""
        assert self._producer is not None, "the sink was not opened"
        await self._producer.wait_connected(min(self._settings.publish_timeout, _PROBE_TIMEOUT))

    def encode(self, message: Message) -> bytes:
        """The body itself."""
        return self._targets.mark(message.body, message)

    async def send(self, batch: Batch) -> Outcome:
        """Publish, topic by topic."""
        places, failures = self._targets.sort(batch.events)
        for index, event in enumerate(batch.events):
            if not 0 < len(event) <= self._settings.max_message_size:
                failures[index] = (
                    Fate.REJECTED,
                    refusal(f"nsqd takes no message of {len(event)} bytes", "too_large"),
                )
        publishing = [self._publish(topic, batch, indexes, failures) for topic, indexes in places.items()]
        unsure = any(await asyncio.gather(*publishing))
        outcome = outcome_of(len(batch), failures)
        return replace(outcome, unsure=True) if unsure else outcome

    async def close(self) -> None:
        """Cut the connections."""
        if self._producer is not None:
            await self._producer.stop(_CLOSE_TIMEOUT)

    def describe(self) -> str:
        settings = self._settings
        lookupds = [str(lookup_address(address)) for address in settings.lookupd_http_addresses]
        return f"nsq topic {settings.topic} at {', '.join((*settings.nsqd_tcp_addresses, *lookupds))}"

    async def _publish(
        self, topic: str, batch: Batch, indexes: list[int], failures: dict[int, Failure]
    ) -> bool:
        """Note what failed; whether some of that may be there all the same."""
        assert self._producer is not None, "the sink was not opened"
        sound = [index for index in indexes if index not in failures]
        if not sound:
            return False
        try:
            check_topic(topic)
            await self._producer.publish_many(topic, [bytes(batch.events[index]) for index in sound])
        except NSQError as error:
            failure = (_fate(error), str(error))
            failures.update(dict.fromkeys(sound[error.published :], failure))
            return isinstance(error, ConnectionClosed | DeadlineExceeded) and not isinstance(
                error, Unprocessed
            )
        return False


def _fate(error: NSQError) -> Fate:
    if isinstance(error, InvalidName | BadMessage):
        return Fate.REJECTED
    if isinstance(error, BadBody):
        return Fate.TOO_LARGE
    return Fate.BLOCKED if isinstance(error, _BLOCKED) else Fate.RETRY
