"""Metrics: facts counted as they happen, figures read from live clients when a reader collects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar
from weakref import WeakSet

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, get_meter_provider

from nsqgw.consumer import Consumer, ConsumerStats
from nsqgw.errors import ConfigError
from nsqgw.instrument.facts import Fact, OnFact
from nsqgw.instrument.figures import (
    CONSUMER_FIGURES,
    FAILED,
    PRODUCER_FIGURES,
    PUBLISHED,
    RECEIVED,
    Clients,
    Figure,
    Publishing,
    total,
)
from nsqgw.instrument.labels import labels_of
from nsqgw.instrument.opentelemetry import conventions
from nsqgw.instrument.opentelemetry.conventions import Attributes
from nsqgw.producer import ProducerStats

S = TypeVar("S")

_NSQ: Attributes = {conventions.SYSTEM: "nsq"}
_observed: WeakSet[MeterProvider] = WeakSet()


def count_facts(meter_provider: MeterProvider | None = None) -> OnFact:
    """A hook that counts in `nsqgw.facts`, by kind, outcome, topic and channel, for any number of clients.

    The provider is the global one by default.
    """
    counter = conventions.meter(meter_provider).create_counter(
        "nsqgw.facts", unit="{fact}", description="What happened in clients."
    )

    def count(fact: Fact) -> None:
        labels = labels_of(fact)
        attributes: Attributes = _NSQ | {"nsqgw.fact.kind": labels.kind}
        if labels.outcome:
            attributes["nsqgw.fact.outcome"] = labels.outcome
        counter.add(1, attributes | conventions.stream(labels.topic, labels.channel))

    return count


def observe_stats(*clients: Consumer | Publishing, meter_provider: MeterProvider | None = None) -> Clients:
    """Have the figures of these clients collected, by the global provider if none is given.

    Messages nsqd delivered are `messaging.client.consumed.messages`, those published or failed
    `messaging.client.sent.messages`, the other figures `nsqgw.consumer.*` and `nsqgw.producer.*`. More
    clients can be added to what is returned; ConfigError when this is called again for the same provider.
    """
    provider = meter_provider or get_meter_provider()
    if provider in _observed:
        raise ConfigError(f"{provider!r} observes clients already: add these to what observe_stats returned")
    _observed.add(provider)
    observed = Clients(*clients)
    meter = conventions.meter(provider)
    _observe_consumers(meter, observed)
    _observe_producers(meter, observed)
    return observed


def _observe_consumers(meter: Meter, clients: Clients) -> None:
    for figure in CONSUMER_FIGURES:
        name, attributes = f"nsqgw.consumer.{figure.name}", _NSQ
        if figure is RECEIVED:
            name, attributes = conventions.CONSUMED_MESSAGES, conventions.operation("receive", "receive")
        _observe(meter, name, figure, partial(_consumed, clients, figure, attributes))


def _consumed(
    clients: Clients, figure: Figure[ConsumerStats], attributes: Attributes, options: CallbackOptions
) -> Iterable[Observation]:
    for stream, stats in clients.consumers().items():
        yield Observation(total(figure, stats), attributes | conventions.stream(*stream))


def _observe_producers(meter: Meter, clients: Clients) -> None:
    published = conventions.operation("publish", "send")
    failed = published | {conventions.ERROR_TYPE: "_OTHER"}
    sent = ((PUBLISHED, published), (FAILED, failed))
    _observe(meter, conventions.SENT_MESSAGES, PUBLISHED, partial(_produced, clients, sent))
    for figure in PRODUCER_FIGURES:
        if figure not in (PUBLISHED, FAILED):
            name = f"nsqgw.producer.{figure.name}"
            _observe(meter, name, figure, partial(_produced, clients, ((figure, _NSQ),)))


def _produced(
    clients: Clients,
    figures: Iterable[tuple[Figure[ProducerStats], Attributes]],
    options: CallbackOptions,
) -> Iterable[Observation]:
    producers = clients.producers()
    for figure, attributes in figures if producers else ():
        yield Observation(total(figure, producers), attributes)


def _observe(
    meter: Meter, name: str, figure: Figure[S], read: Callable[[CallbackOptions], Iterable[Observation]]
) -> None:
    create = meter.create_observable_counter if figure.cumulative else meter.create_observable_up_down_counter
    create(name, [read], f"{{{figure.unit}}}", figure.text)
