"""Metrics of the watcher for Prometheus, read when they are asked for. Needs the extra `gateways`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from nsqgw.service.topology_publisher import TopologyPublisher
from nsqgw.service.topology_stream import TopologyStreams
from nsqgw.topology.journal import Journal


def watcher_metrics(
    journal: Journal,
    unanswered: int,
    streams: TopologyStreams | None,
    publisher: TopologyPublisher | None,
) -> Iterator[Metric]:
    """The cluster as it is told, and to whom."""
    prefix = "nsqgw_topology"
    yield CounterMetricFamily(f"{prefix}_events", "Changes seen.", journal.sequence)
    yield GaugeMetricFamily(f"{prefix}_nodes", "nsqds that are up.", len(journal.cluster.nodes))
    yield GaugeMetricFamily(f"{prefix}_topics", "Topics known.", len(journal.cluster.topics))
    yield GaugeMetricFamily(f"{prefix}_silent_lookupds", "nsqlookupds that do not answer.", unanswered)
    if streams is not None:
        yield GaugeMetricFamily(f"{prefix}_readers", "Readers of the stream.", streams.readers)
        yield CounterMetricFamily(f"{prefix}_readers_cut", "Readers cut for being too slow.", streams.cut)
    if publisher is not None:
        yield CounterMetricFamily(f"{prefix}_published", "Events published.", publisher.published)
        yield CounterMetricFamily(f"{prefix}_dropped", "Events dropped: no nsqd in time.", publisher.dropped)
