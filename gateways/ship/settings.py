"""The settings of one pipeline, from flags or a file: defaults, bounds and units (seconds, bytes)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateways.access import NsqAccess
from gateways.pipeline.batch import BatchLimits
from gateways.pipeline.fan_out import Route
from gateways.pipeline.pipeline import PipelineLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.service.values import Bytes, LookupdAddress, NsqdAddress, Seconds
from gateways.ship.named_sink import NamedSink
from gateways.ship.sinks.nsq import NsqSettings
from gateways.ship.transforms.chain import TransformSettings, build_chain
from gateways.ship.transforms.choose import RouteSettings
from nsqgw.consumer.topics import split_topics
from nsqgw.lookup.client import lookup_address
from nsqgw.protocol.names import check_channel

_MAX_RDY = 2500  # of one connection: --max-rdy-count of nsqd by default
_OF_BUDGET = 0.25  # what is in hand must not wait for a sink's rate until it has to be given back
_DRAIN_RESERVE = 2.0  # seconds of the drain kept for giving messages back and closing


class ShipSettings(BaseModel):
    """One pipeline: topics on one channel to its sinks.

    name              how metrics and logs call it
    topics            names, or patterns such as `logs.*` that are looked up at the nsqlookupds
    transforms        what is done to each message before it is sent; without any no body is touched
    dead_letter       the sink for what cannot be decoded or is refused for good; without it nsqd keeps that
    dead_letter_max_ratio  share of a minute's events, of a hundred at least, that a sink may refuse; above it
                      all are held until somebody has looked
    channel           shared with whoever consumes it, too: each message goes to one of them
    sinks             where messages go; finished when all that are required have them
    access            TLS and secrets towards nsqd and nsqlookupd
    max_in_flight     messages in hand at once, for each topic; a connection for each 2500 of them
    batch_max_*       a batch is sent when it has so many messages, bytes (encoded) or seconds
    concurrency       batches on their way to a sink at once, in the beginning
    max_concurrency   most that this adapts to, by how soon the sink answers; 0 leaves it as it is
    dedup             events remembered as confirmed, so that they are not sent twice; 0 is none
    max_bytes_held    bytes in hand above which no more messages are taken
    retry_budget      seconds a message is held while the sink fails; then nsqd gets it back
    retry_max_backoff  longest pause between tries of a sink that fails
    send_timeout      seconds for one try
    connect_timeout   seconds in which an nsqd or nsqlookupd has to be reached at the start
    drain_timeout     seconds for stopping in order
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="ship", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    topics: tuple[str, ...] = Field(min_length=1)
    channel: str
    sinks: tuple[NamedSink, ...] = Field(min_length=1)
    transforms: tuple[TransformSettings, ...] = ()
    dead_letter: NamedSink | None = None
    dead_letter_max_ratio: float = Field(default=0.5, gt=0, le=1)
    access: NsqAccess = Field(default_factory=NsqAccess)
    nsqd_tcp_addresses: tuple[NsqdAddress, ...] = ()
    lookupd_http_addresses: tuple[LookupdAddress, ...] = ()
    max_in_flight: int = Field(default=2500, ge=1, le=100_000)
    batch_max_messages: int = Field(default=500, ge=1, le=1_000_000)
    batch_max_bytes: Bytes = Field(default=5_000_000, ge=1)
    batch_max_age: Seconds = Field(default=1.0, ge=0, le=300)
    concurrency: int = Field(default=4, ge=1, le=64)
    max_concurrency: int = Field(default=64, ge=0, le=64)
    dedup: int = Field(default=0, ge=0, le=10_000_000)
    max_bytes_held: Bytes = Field(default=256 * 1024 * 1024, ge=1)
    retry_budget: Seconds = Field(default=300.0, gt=0, le=600)
    retry_max_backoff: Seconds = Field(default=30.0, gt=0, le=300)
    send_timeout: Seconds = Field(default=30.0, gt=0, le=120)
    connect_timeout: Seconds = Field(default=10.0, gt=0, le=3600)
    drain_timeout: Seconds = Field(default=25.0, gt=0, le=3600)

    @field_validator("topics")
    @classmethod
    def _check_topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names, patterns = split_topics(value)
        return names + patterns

    @field_validator("channel")
    @classmethod
    def _check_channel(cls, value: str) -> str:
        return check_channel(value)

    @model_validator(mode="after")
    def _check_sources(self) -> ShipSettings:
        if not self.nsqd_tcp_addresses and not self.lookupd_http_addresses:
            raise ValueError("no source: give --nsqd-tcp-address or --lookupd-http-address")
        patterns = split_topics(self.topics)[1]
        if patterns and not self.lookupd_http_addresses:
            raise ValueError(f"topic {patterns[0]!r} is a pattern: an nsqlookupd is needed to look it up")
        return self

    @field_validator("transforms")
    @classmethod
    def _check_transforms(cls, value: tuple[TransformSettings, ...]) -> tuple[TransformSettings, ...]:
        build_chain(value)
        return value

    @model_validator(mode="after")
    def _check_ages(self) -> ShipSettings:
        for sink in self.sinks:
            sink.check_ages(self._batch(), self.retry_budget)
        return self

    @model_validator(mode="after")
    def _check_routes(self) -> ShipSettings:
        names = [sink.name for sink in self.sinks]
        for each in self.transforms:
            unknown = each.sinks.difference(names) if isinstance(each, RouteSettings) else ()
            for name in sorted(unknown):
                raise ValueError(f"transforms route to {name}, which is none of its sinks {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _check_dead_letter(self) -> ShipSettings:
        dead_letter = self.dead_letter
        if dead_letter is None:
            return self
        if any(sink.to == dead_letter.to for sink in self.sinks):
            raise ValueError(f"dead_letter {dead_letter.name} is one of its sinks: give it a sink of its own")
        if getattr(dead_letter.to, "balance", "") == "all":
            raise ValueError(
                f"dead_letter {dead_letter.name} goes to one place: give it another balance than all"
            )
        if isinstance(dead_letter.to, NsqSettings) and self._is_near(dead_letter.to):
            for topic in self.topics:
                target = dead_letter.to.topic.replace("{topic}", topic)
                if target in self.topics:
                    raise ValueError(
                        f"dead_letter {dead_letter.name} publishes to topic {target}, which is read here:"
                        ' give its sink another one, such as topic = "{topic}.dead"'
                    )
        return self

    def _is_near(self, nsq: NsqSettings) -> bool:
        """Whether it is the cluster that this pipeline reads from, as far as the addresses tell."""
        here = {*self.nsqd_tcp_addresses, *self.lookupd_http_addresses}
        return not here.isdisjoint((*nsq.nsqd_tcp_addresses, *nsq.lookupd_http_addresses))

    def pipeline_limits(self) -> PipelineLimits:
        """What the pipeline may hold."""
        return PipelineLimits(
            self._batch(),
            self.concurrency,
            self._most_bytes(),
            self.send_timeout,
            max_concurrency=max(self.concurrency, self.max_concurrency),
            max_in_flight=self.max_in_flight_each(),
            dedup=self.dedup,
            max_refused=self.dead_letter_max_ratio,
        )

    def routes(self) -> list[Route]:
        """The sinks, not yet open, as this pipeline treats them."""
        limits, retry = self.pipeline_limits(), self.retry_policy()
        return [route for sink in self.sinks for route in sink.routes(limits, retry)]

    def connections_per_nsqd(self) -> int:
        """As many as it takes to have `max_in_flight` in hand from a single nsqd."""
        return -(-self._most_in_flight() // _MAX_RDY)

    def max_in_flight_each(self) -> int:
        """For each of these connections, or of the consumers that have them."""
        return -(-self._most_in_flight() // self.connections_per_nsqd())

    def retry_policy(self) -> RetryPolicy:
        """How a failing sink is tried again."""
        return RetryPolicy(cap=self.retry_max_backoff, budget=self.retry_budget)

    def flush_timeout(self) -> float:
        """The part of the drain in which the sink can still confirm, seconds."""
        return self.drain_timeout - min(_DRAIN_RESERVE, self.drain_timeout / 4)

    def _batch(self) -> BatchLimits:
        return BatchLimits(self.batch_max_messages, self.batch_max_bytes, self.batch_max_age)

    def _most_in_flight(self) -> int:
        """`max_in_flight`, or what sinks with a rate can be sent in a part of the budget."""
        seconds = self.retry_budget * _OF_BUDGET
        most = (sink.most_within(seconds, self._batch()) for sink in self.sinks if sink.required)
        return max(1, int(min(self.max_in_flight, *most)))

    def _most_bytes(self) -> int:
        """The same of `max_bytes_held`."""
        rates = [sink.rate.bytes for sink in self.sinks if sink.required and sink.rate.bytes]
        most = (int(rate * self.retry_budget * _OF_BUDGET) for rate in rates)
        return max(1, min([self.max_bytes_held, *most]))

    def shown(self) -> dict[str, object]:
        """For /config: as given, with secrets masked."""
        lookupds = [str(lookup_address(address)) for address in self.lookupd_http_addresses]
        return {
            **self.model_dump(mode="json", exclude={"access", "dead_letter", "sinks"}),
            "sinks": [sink.shown() for sink in self.sinks],
            "dead_letter": self.dead_letter.shown() if self.dead_letter is not None else None,
            "access": self.access.shown(),
            "lookupd_http_addresses": lookupds,
        }
