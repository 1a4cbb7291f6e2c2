"""The log gateway as a service: consumers, a pipeline and its sinks, put together and taken apart."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gateways.pipeline.answers import note_refusal
from gateways.pipeline.counters import Stream
from gateways.pipeline.pipeline import Pipeline
from gateways.pipeline.sink import Sink, SinkUnusable
from gateways.reach import Reach
from gateways.ship.dead_letters.store import SinkDeadLetters
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings
from gateways.ship.sinks.nsq import NsqSettings
from gateways.ship.status import Running
from gateways.ship.transforms.chain import build_chain
from nsqgw import Consumer
from nsqgw.consumer.topics import split_topics
from nsqgw.deadline import within
from nsqgw.instrument import Fact, ServerRefused, TouchExhausted

if TYPE_CHECKING:
    from prometheus_client import Metric

logger = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 1.0


class ShipService:
    """Topics to their sinks; see `nsqgw.service.lifecycle.Service` for its life."""

    name = "nsqgw ship"

    def __init__(self, settings: ShipSettings) -> None:
        self._settings = settings
        self._routes = settings.routes()
        self._dead_letter = settings.dead_letter.to.make(1) if settings.dead_letter is not None else None
        self._raw_letters = _raw_letters(settings.dead_letter)
        self._reach = Reach(settings.nsqd_tcp_addresses, settings.lookupd_http_addresses)
        self._consumers: list[Consumer] = []
        self.pipeline: Pipeline | None = None
        """The running pipeline; None before the start."""

    async def start(self) -> None:
        """Open the sinks, connect, begin. Raises SinkUnusable, or NotConnected when nothing is reached."""
        settings = self._settings
        for sink in self._sinks:
            await self._open(sink)
        self._consumers = [
            self._consumer(topic) for topic in settings.topics for _ in range(settings.connections_per_nsqd())
        ]
        for consumer in self._consumers:
            await consumer.start()
        await self._reach.wait(self._consumers, settings.connect_timeout)
        self.pipeline = Pipeline(
            self._consumers,
            self._routes,
            settings.pipeline_limits(),
            settings.retry_policy(),
            transforms=build_chain(settings.transforms),
            dead_letters=self._dead_letters(),
        )
        self.pipeline.start()
        sinks = " and ".join(route.sink.describe() for route in self._routes)
        logger.info("shipping %s to %s", ", ".join(settings.topics), sinks)

    async def wait_closed(self) -> None:
        """Until a required sink is gone (SinkGone)."""
        assert self.pipeline is not None, "start() was not called"
        await self.pipeline.wait_closed()

    async def stop(self) -> None:
        """Send what is in hand, give back the rest, close."""
        if self.pipeline is not None:
            finished, given_back = self._answered()
            try:
                await self.pipeline.drain(self._settings.flush_timeout())
            finally:
                finished_now, given_back_now = self._answered()
                logger.info(
                    "while stopping: finished %d messages, gave %d messages back to nsqd",
                    finished_now - finished,
                    given_back_now - given_back,
                )
        else:
            await asyncio.gather(*(consumer.stop(_CLOSE_TIMEOUT) for consumer in self._consumers))
        await asyncio.gather(*(sink.close() for sink in self._sinks))

    def ready(self) -> str | None:
        """Not ready without a connection to nsqd, or while a required sink takes nothing."""
        if not any(consumer.stats.connections for consumer in self._consumers):
            return f"no nsqd is connected: {self._reach.why_starved(self._consumers)}"
        return self.pipeline.trouble if self.pipeline is not None else "starting"

    def metrics(self) -> Iterable[Metric]:
        """The figures of the pipeline."""
        from gateways.ship.metrics import ship_metrics  # needs the extra `gateways`

        running = self.running()
        return ship_metrics([running]) if running is not None else ()

    def running(self) -> Running | None:
        """The pipeline with what is to be known of it; None before the start."""
        if self.pipeline is None:
            return None
        connections = Counter(
            {(name, self._settings.channel): 0 for name in split_topics(self._settings.topics)[0]}
        )
        for consumer in self._consumers:
            connections.update((each.topic, consumer.channel) for each in consumer.stats.connections)
        rdy: Counter[Stream] = Counter()
        for consumer in self._consumers:
            for each in consumer.stats.connections:
                rdy[each.topic, consumer.channel] += each.rdy
        touched = sum(consumer.stats.touched for consumer in self._consumers)
        return Running(self._settings.name, self.pipeline, connections, rdy, touched, self.ready())

    def settings(self) -> dict[str, object]:
        """What it was started with."""
        return self._settings.shown()

    async def _open(self, sink: Sink) -> None:
        timeout = self._settings.connect_timeout
        try:
            await within(timeout, sink.open())
        except asyncio.TimeoutError:  # such as a folder of a file server that does not answer
            raise SinkUnusable(f"{sink.describe()} could not be opened within {timeout:g}s") from None

    def _dead_letters(self) -> SinkDeadLetters | None:
        if self._dead_letter is None:
            return None
        return SinkDeadLetters(self._dead_letter, self._settings.name, raw=self._raw_letters)

    @property
    def _sinks(self) -> list[Sink]:
        """All that has to be opened and closed."""
        extra = (self._dead_letter, self._raw_letters)
        return [*(route.sink for route in self._routes), *(sink for sink in extra if sink is not None)]

    def _consumer(self, topic: str) -> Consumer:
        settings = self._settings
        return Consumer(
            topic,
            settings.channel,
            nsqd_tcp_addresses=settings.nsqd_tcp_addresses,
            lookupd_http_addresses=settings.lookupd_http_addresses,
            on_fact=functools.partial(self._note, (topic, settings.channel)),
            max_in_flight=settings.max_in_flight_each(),
            **settings.access.options(),
        )

    def _answered(self) -> tuple[int, int]:
        """Messages finished and given back up to now, those included that no batch was made of."""
        stats = [consumer.stats for consumer in self._consumers]
        return sum(each.finished for each in stats), sum(each.requeued for each in stats)

    def _note(self, stream: Stream, fact: Fact) -> None:
        self._reach.note(fact)
        if self.pipeline is None:
            return
        if isinstance(fact, ServerRefused):
            note_refusal(stream, fact.error, self.pipeline.counters)
        elif isinstance(fact, TouchExhausted):
            self.pipeline.give_back_within(fact.messages, fact.seconds)


def _raw_letters(dead_letter: NamedSink | None) -> Sink | None:
    """Where bodies go whose letters are too large for a topic: another topic, `.raw` behind its name."""
    if dead_letter is None or not isinstance(dead_letter.to, NsqSettings):
        return None
    return dead_letter.to.model_copy(update={"topic": f"{dead_letter.to.topic}.raw"}).make(1)
