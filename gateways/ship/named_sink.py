"""One sink of a pipeline: what it is, and where it is to be treated otherwise than the pipeline's others."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from gateways.pipeline.batch import BatchLimits
from gateways.pipeline.fan_out import Route
from gateways.pipeline.pipeline import PipelineLimits
from gateways.pipeline.rate import RateLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.service.values import Bytes, Seconds
from gateways.ship.destination import SinkSettings
from gateways.ship.sinks.endpoints import parse_endpoint
from gateways.ship.sinks.http_settings import HttpSinkSettings


class SinkBatch(BaseModel):
    """When a batch for this sink is cut; what is not given is the pipeline's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_messages: int | None = Field(default=None, ge=1, le=1_000_000, description="messages of a batch")
    max_bytes: Bytes | None = Field(default=None, ge=1, description="bytes of a batch, encoded")
    max_age: Seconds | None = Field(default=None, ge=0, le=300, description="age of its first message")


class SinkRetry(BaseModel):
    """How this sink is tried again; what is not given is the pipeline's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget: Seconds | None = Field(default=None, gt=0, le=600, description="then nsqd gets the messages back")
    max_backoff: Seconds | None = Field(default=None, gt=0, le=300, description="longest pause between tries")


class SinkRate(BaseModel):
    """How much this sink may be sent in a second; 0 for no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: float = Field(default=0.0, ge=0, description="events a second")
    bytes: Bytes = Field(default=0, ge=0, description="bytes a second, encoded and not compressed")
    requests: float = Field(
        default=0.0, ge=0, description="requests a second; those of one batch that takes several go at once"
    )


class NamedSink(BaseModel):
    """One sink of a pipeline.

    name      how metrics and logs call it; empty for the sink's own name
    to        what it is
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    to: SinkSettings
    required: bool = Field(
        default=True,
        description="whether messages wait for it; the failures of one that is not hold nothing up",
    )
    batch: SinkBatch = Field(default_factory=SinkBatch, description="when a batch for it is cut")
    retry: SinkRetry = Field(default_factory=SinkRetry, description="how it is tried again")
    rate: SinkRate = Field(default_factory=SinkRate, description="how much it may be sent in a second")
    concurrency: int | None = Field(
        default=None, ge=1, le=64, description="batches on their way at once, in the beginning"
    )
    max_concurrency: int | None = Field(
        default=None, ge=0, le=64, description="most that this adapts to; 0 leaves it as it is"
    )
    send_timeout: Seconds | None = Field(default=None, gt=0, le=900, description="for one try")

    def routes(self, limits: PipelineLimits, retry: RetryPolicy) -> list[Route]:
        """The sink, not yet open, in a pipeline that treats its sinks so; several where all hosts get all."""
        to = self.to
        if not isinstance(to, HttpSinkSettings) or to.balance != "all" or len(to.url) == 1:
            return [self.route(limits, retry)]
        return [
            replace(
                self.model_copy(update={"to": to.model_copy(update={"url": (url,)})}).route(limits, retry),
                name=f"{self.name} {number} at {parse_endpoint(url).address.host_and_port}".strip(),
                part_of=self.name,
            )
            for number, url in enumerate(to.url, 1)
        ]

    def route(self, limits: PipelineLimits, retry: RetryPolicy) -> Route:
        """One sink of it all, even when it has several hosts."""
        concurrency = self.concurrency or limits.concurrency
        most = limits.max_concurrency if self.max_concurrency is None else self.max_concurrency
        timeout = self.send_timeout or max(limits.send_timeout, self.to.patience())
        delivery = replace(
            limits.delivery(),
            concurrency=concurrency,
            max_concurrency=max(concurrency, most),
            send_timeout=timeout,
            rate=RateLimits(self.rate.events, self.rate.bytes, self.rate.requests),
        )
        return Route(
            self.to.make(delivery.max_concurrency),
            self.name,
            self.required,
            batch=self._batch(limits.batch),
            delivery=delivery,
            retry=replace(
                retry,
                budget=self.retry.budget or retry.budget,
                cap=self.retry.max_backoff or retry.cap,
            ),
        )

    def most_within(self, seconds: float, batch: BatchLimits) -> float:
        """Messages that may be sent within so many seconds; infinite without limits.

        Bytes are not known before messages come: those in hand are bounded by the pipeline's bytes.
        """
        requests = self.rate.requests * (self._batch(batch).max_messages)
        return min((rate * seconds for rate in (self.rate.events, requests) if rate), default=float("inf"))

    def check_ages(self, batch: BatchLimits, budget: float) -> None:
        """Batches must be cut well before nsqd gets their messages back. Raises ValueError."""
        age, time = self._batch(batch).max_age, self.retry.budget or budget
        if age > time / 2:
            where = f"sink {self.name}: " if self.name else ""
            raise ValueError(
                f"{where}batch.max_age of {age:g}s leaves too little of a retry.budget of {time:g}s for"
                " tries: make it half of that at most"
            )

    def shown(self) -> dict[str, object]:
        """For /config: secrets masked."""
        return {**self.model_dump(mode="json", exclude={"to"}), "to": self.to.shown()}

    def _batch(self, common: BatchLimits) -> BatchLimits:
        own = self.batch
        return BatchLimits(
            own.max_messages or common.max_messages,
            own.max_bytes or common.max_bytes,
            common.max_age if own.max_age is None else own.max_age,
        )
