"""Metrics of a topology feed for Prometheus, read when they are asked for. Needs the extra `gateways`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from nsqgw.topology.journal import Journal

if TYPE_CHECKING:
    from nsqgw.service.topology_publisher import TopologyPublisher
    from nsqgw.service.topology_stream import TopologyStreams

_PREFIX = "nsqgw_topology"


def feed_metrics(
    journal: Journal, streams: TopologyStreams | None, publisher: TopologyPublisher | None
) -> Iterator[Metric]:
    """What is told, and to whom."""
    yield CounterMetricFamily(f"{_PREFIX}_events", "Changes told.", journal.sequence)
    if streams is not None:
        yield GaugeMetricFamily(f"{_PREFIX}_readers", "Readers of the stream.", streams.readers)
        yield CounterMetricFamily(f"{_PREFIX}_readers_cut", "Readers cut for being too slow.", streams.cut)
    if publisher is not None:
        yield CounterMetricFamily(f"{_PREFIX}_published", "Events published.", publisher.published)
        yield CounterMetricFamily(f"{_PREFIX}_dropped", "Events dropped: no nsqd in time.", publisher.dropped)


def watcher_metrics(journal: Journal, unanswered: int) -> Iterator[Metric]:
    """The cluster as the watcher knows it."""
    yield GaugeMetricFamily(f"{_PREFIX}_nodes", "nsqds that are up.", len(journal.cluster.nodes))
    yield GaugeMetricFamily(f"{_PREFIX}_topics", "Topics known.", len(journal.cluster.topics))
    yield GaugeMetricFamily(f"{_PREFIX}_silent_lookupds", "nsqlookupds that do not answer.", unanswered)
