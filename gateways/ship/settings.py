"""The settings of the log gateway, from flags or a file: defaults, bounds and units (seconds, bytes)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateways.pipeline.batch import BatchLimits
from gateways.pipeline.pipeline import PipelineLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.ship.destination import SinkSettings
from nsqgw.lookup.client import lookup_address
from nsqgw.protocol.names import check_channel, check_topic
from nsqgw.service.hosts import check_host_name
from nsqgw.service.settings import parse_address

_DRAIN_RESERVE = 2.0  # seconds of the drain kept for giving messages back and closing


class ShipSettings(BaseModel):
    """One pipeline: topics on one channel to one sink.

    max_in_flight     messages in hand at once, for each topic
    batch_max_*       a batch is sent when it has so many messages, bytes (encoded) or seconds
    concurrency       batches on their way to the sink at once
    max_bytes_held    bytes in hand above which no more messages are taken
    retry_budget      seconds a message is held while the sink fails; then nsqd gets it back
    send_timeout      seconds for one try
    connect_timeout   seconds in which an nsqd or nsqlookupd has to be reached at the start
    drain_timeout     seconds for stopping in order
    allow_hosts       names the admin port answers to, beside those of `AllowedHosts`
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    topics: tuple[str, ...] = Field(min_length=1)
    channel: str
    to: SinkSettings
    nsqd_tcp_addresses: tuple[str, ...] = ()
    lookupd_http_addresses: tuple[str, ...] = ()
    max_in_flight: int = Field(default=2500, ge=1, le=1_000_000)
    batch_max_messages: int = Field(default=500, ge=1, le=1_000_000)
    batch_max_bytes: int = Field(default=5_000_000, ge=1)
    batch_max_age: float = Field(default=1.0, ge=0, le=300)
    concurrency: int = Field(default=4, ge=1, le=64)
    max_bytes_held: int = Field(default=256 * 1024 * 1024, ge=1)
    retry_budget: float = Field(default=300.0, gt=0, le=600)
    send_timeout: float = Field(default=30.0, gt=0, le=120)
    connect_timeout: float = Field(default=10.0, gt=0, le=3600)
    drain_timeout: float = Field(default=25.0, gt=0, le=3600)
    admin_address: str = "127.0.0.1:9117"
    allow_hosts: tuple[str, ...] = ()

    @field_validator("topics")
    @classmethod
    def _check_topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(check_topic(topic) for topic in value))

    @field_validator("channel")
    @classmethod
    def _check_channel(cls, value: str) -> str:
        return check_channel(value)

    @field_validator("allow_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_host_name(name) for name in value)

    @field_validator("nsqd_tcp_addresses")
    @classmethod
    def _check_nsqds(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            parse_address(address)
        return value

    @field_validator("lookupd_http_addresses")
    @classmethod
    def _check_lookupds(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            lookup_address(address)
        return value

    @model_validator(mode="after")
    def _check_sources(self) -> ShipSettings:
        if not self.nsqd_tcp_addresses and not self.lookupd_http_addresses:
            raise ValueError("no source: give --nsqd-tcp-address or --lookupd-http-address")
        return self

    def pipeline_limits(self) -> PipelineLimits:
        """What the pipeline may hold."""
        batch = BatchLimits(self.batch_max_messages, self.batch_max_bytes, self.batch_max_age)
        return PipelineLimits(batch, self.concurrency, self.max_bytes_held, self.send_timeout)

    def retry_policy(self) -> RetryPolicy:
        """How a failing sink is tried again."""
        return RetryPolicy(budget=self.retry_budget)

    def flush_timeout(self) -> float:
        """The part of the drain in which the sink can still confirm, seconds."""
        return self.drain_timeout - min(_DRAIN_RESERVE, self.drain_timeout / 4)

    def shown(self) -> dict[str, object]:
        """For /config: as given, with secrets masked."""
        lookupds = [str(lookup_address(address)) for address in self.lookupd_http_addresses]
        return {
            **self.model_dump(mode="json"),
            "to": self.to.shown(),
            "lookupd_http_addresses": lookupds,
        }
