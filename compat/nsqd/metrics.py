"""The broker's figures for Prometheus, read from live state when asked; needs the extra `gateways`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from compat.nsqd.broker import Nsqd
    from compat.nsqd.channel import Channel
    from compat.nsqd.topic import Topic

_TOPIC_GAUGES: dict[str, tuple[str, Callable[[Topic], int]]] = {
    "depth": ("Messages that have not gone to the channels.", lambda topic: topic.depth),
}
_TOPIC_COUNTERS: dict[str, tuple[str, Callable[[Topic], int]]] = {
    "messages": ("Messages published.", lambda topic: topic.message_count),
    "bytes": ("Bytes published.", lambda topic: topic.message_bytes),
}
_CHANNEL_GAUGES: dict[str, tuple[str, Callable[[Channel], int]]] = {
    "depth": ("Messages waiting.", lambda channel: channel.depth),
    "in_flight": ("Messages sent and not answered.", lambda channel: channel.in_flight_count),
    "deferred": ("Messages waiting for their time.", lambda channel: channel.deferred_count),
    "consumers": ("Connections subscribed.", lambda channel: len(channel.consumers)),
}
_CHANNEL_COUNTERS: dict[str, tuple[str, Callable[[Channel], int]]] = {
    "messages": ("Messages received from the topic.", lambda channel: channel.message_count),
    "deliveries": ("Messages sent, again and again included.", lambda channel: channel.delivery_count),
    "requeues": ("REQ commands.", lambda channel: channel.requeue_count),
    "timeouts": ("Messages not answered in time.", lambda channel: channel.timeout_count),
}


def broker_metrics(nsqd: Nsqd) -> Iterable[Metric]:
    """Metrics of the broker, its topics and its channels."""
    yield GaugeMetricFamily("nsqgw_nsqd_connections", "TCP clients connected.", len(nsqd.clients))
    topics = nsqd.topics.values()
    for name, (text, read) in _TOPIC_GAUGES.items():
        yield _family(GaugeMetricFamily, f"topic_{name}", text, ["topic"], _per_topic(topics, read))
    for name, (text, read) in _TOPIC_COUNTERS.items():
        yield _family(CounterMetricFamily, f"topic_{name}", text, ["topic"], _per_topic(topics, read))
    channels = [channel for topic in topics for channel in topic.channels.values()]
    labels = ["topic", "channel"]
    for name, (text, look) in _CHANNEL_GAUGES.items():
        yield _family(GaugeMetricFamily, f"channel_{name}", text, labels, _per_channel(channels, look))
    for name, (text, look) in _CHANNEL_COUNTERS.items():
        yield _family(CounterMetricFamily, f"channel_{name}", text, labels, _per_channel(channels, look))


_Value = tuple[list[str], int]


def _per_topic(topics: Iterable[Topic], read: Callable[[Topic], int]) -> list[_Value]:
    return [([topic.name], read(topic)) for topic in topics]


def _per_channel(channels: Iterable[Channel], read: Callable[[Channel], int]) -> list[_Value]:
    return [([channel.topic_name, channel.name], read(channel)) for channel in channels]


def _family(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    text: str,
    labels: list[str],
    values: list[_Value],
) -> Metric:
    family = kind(f"nsqgw_nsqd_{name}", text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family
