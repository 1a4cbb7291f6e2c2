"""Metrics of a directory for Prometheus, read when they are asked for. Needs the extra `gateways`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from compat.nsqlookupd.daemon import Nsqlookupd
from nsqgw.service.topology_metrics import feed_metrics


def directory_metrics(lookupd: Nsqlookupd) -> Iterator[Metric]:
    """What the registry holds; /lookup and /nodes show only the active ones of the producers."""
    registry = lookupd.registry
    topics = registry.topics()
    channels = sum(len(registry.channels(topic)) for topic in topics)
    active = len(registry.nodes(lookupd.now()))
    yield _gauge("topics", "Topics registered, those without producers included.", len(topics))
    yield _gauge("channels", "Channels registered.", channels)
    yield _gauge("connections", "Connections of nsqds, inactive ones included.", len(lookupd.connections))
    yield _gauge("active_producers", "nsqds that pinged in time.", active)
    topology = lookupd.topology
    yield from feed_metrics(topology.journal, topology.streams, topology.publisher)


def _gauge(name: str, text: str, value: int) -> Metric:
    return GaugeMetricFamily(f"nsqgw_nsqlookupd_{name}", text, value)
