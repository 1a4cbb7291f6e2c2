"""Metrics for Prometheus: facts counted as they happen, figures read from live clients at scrape time.

It needs prometheus-client (the extra `prometheus`). Labels are few and bounded; a client pays nothing for
being scraped, and for `count_facts` a counter per fact, of which there is none per message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from nsqgw.consumer import Consumer
from nsqgw.instrument.facts import Fact, OnFact
from nsqgw.instrument.figures import (
    CONSUMER_FIGURES,
    PRODUCER_FIGURES,
    Clients,
    Figure,
    Publishing,
    total,
)
from nsqgw.instrument.labels import Labels, address_of, labels_of

S = TypeVar("S")


def count_facts(registry: CollectorRegistry, *, addresses: bool = False) -> OnFact:
    """A hook that counts in `nsqgw_facts_total{kind, topic, channel, outcome}`, for any number of clients.

    With `addresses` there is a label `address`, too: the nsqd or nsqlookupd concerned. An address stays once
    it has been seen, so leave this out where they come and go. Raises ValueError when `registry` has the
    metric already.
    """
    names = (*Labels._fields, "address") if addresses else Labels._fields
    counter = Counter("nsqgw_facts", "What happened in clients.", names, registry=registry)

    def count(fact: Fact) -> None:
        labels = labels_of(fact)
        counter.labels(*labels, *([address_of(fact)] if addresses else ())).inc()

    return count


def expose_stats(*clients: Consumer | Publishing, registry: CollectorRegistry) -> Clients:
    """Have `registry` show the figures of these clients, as `nsqgw_consumer_*` and `nsqgw_producer_*`.

    Consumers are labelled by topic and channel, producers not at all. More clients can be added to what
    is returned; calling this again for the same registry raises ValueError.
    """
    exposed = Clients(*clients)
    registry.register(_StatsCollector(exposed))
    return exposed


class _StatsCollector(Collector):
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def collect(self) -> Iterable[Metric]:
        return _metrics(self._clients)

    def describe(self) -> Iterable[Metric]:
        """What the registry checks names by, so that the same metrics are not registered twice."""
        return _metrics(Clients())


def _metrics(clients: Clients) -> Iterable[Metric]:
    consumers = clients.consumers()
    for consumed in CONSUMER_FIGURES:
        family = _family("nsqgw_consumer_", consumed, ("topic", "channel"))
        for stream, stats in consumers.items():
            family.add_metric(stream, total(consumed, stats))
        yield family
    producers = clients.producers()
    for produced in PRODUCER_FIGURES:
        family = _family("nsqgw_producer_", produced, ())
        if producers:
            family.add_metric((), total(produced, producers))
        yield family


def _family(prefix: str, figure: Figure[S], labels: Sequence[str]) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if figure.cumulative else GaugeMetricFamily
    return kind(prefix + figure.name.replace(".", "_"), figure.text, labels=labels)
