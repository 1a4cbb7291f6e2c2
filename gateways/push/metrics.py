"""The gateway's metrics, read from live state at scrape time.

Counters are there from the start, as 0: a rate over one that appears with its first event misses that event.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from gateways.push.context import Context
from gateways.push.http import REFUSALS
from gateways.push.hub import Hub
from gateways.push.session import REASONS, Session

KINDS = ("head", "lines", "multiplex", "poll", "sse", "websocket")
"""What connections speak; `head` until that is known."""


LABELLED_CHANNELS = 100
"""Channels that have figures of their own; routes may make any number. /stats has the others."""


def push_metrics(
    context: Context, nsqd_connections: Mapping[str, int], reloads: Mapping[str, int]
) -> Iterable[Metric]:
    """Connections, deliveries and refusals; `nsqd_connections` by topic, `reloads` by what came of them."""
    yield _gauge("nsqd_connections", "Connections to nsqd.", "topic", nsqd_connections)
    yield from _of_topics(context)
    yield from _of_connections(context)
    yield from _of_channels(context.hub)
    yield _counter("reloads", "Times the settings were read again.", "result", reloads)


def _of_topics(context: Context) -> Iterable[Metric]:
    hub = context.hub
    subscribers = Counter(dict.fromkeys(hub.topics, 0))
    for channel in hub.channels.values():
        subscribers[channel.topic] += len(channel.audience)
    yield _gauge("subscribers", "Browsers that follow channels of the topic by name.", "topic", subscribers)
    yield _counter("messages", "Messages fanned out.", "topic", hub.messages)
    yield _counter("deliveries", "Messages handed to browsers.", "topic", hub.deliveries)
    unrouted = dict.fromkeys(hub.topics, 0) | hub.routing.unrouted
    yield _counter("messages_unrouted", "Messages whose body names no channel.", "topic", unrouted)
    yield _counter(
        "messages_unkept", "Messages for which there was no channel left.", "topic", hub.crowded_out
    )
    yield _counter("messages_expired", "Messages too old to be shown.", "topic", hub.expired)
    lost = dict.fromkeys(hub.topics, 0) | context.lost
    yield _counter("messages_lost", "Messages slow browsers were not given.", "topic", lost)


def _of_connections(context: Context) -> Iterable[Metric]:
    kinds = Counter(dict.fromkeys(KINDS, 0))
    waiting = 0
    for connection in context.connections:
        kinds[connection.kind if isinstance(connection, Session) else "head"] += 1
        waiting += connection.waiting_bytes if isinstance(connection, Session) else 0
    yield _gauge("connections", "Open connections, by what they speak.", "kind", kinds)
    yield GaugeMetricFamily("nsqgw_push_waiting_bytes", "Bytes browsers have not taken yet.", waiting)
    accepted = CounterMetricFamily("nsqgw_push_connections_accepted", "Connections accepted.")
    accepted.add_metric((), context.accepted)
    yield accepted
    refused = dict.fromkeys(map(int, REFUSALS), 0) | context.refused
    yield _counter("requests_refused", "Requests answered with an error.", "status", refused)
    ended = dict.fromkeys(REASONS, 0) | context.closed
    yield _counter("streams_ended", "Streams that ended.", "reason", ended)
    frames = CounterMetricFamily("nsqgw_push_client_frames", "WebSocket frames browsers sent.")
    frames.add_metric((), context.client_frames)
    yield frames


def _of_channels(hub: Hub) -> Iterable[Metric]:
    yield GaugeMetricFamily("nsqgw_push_channels", "Channels there are.", len(hub.channels))
    most = heapq.nlargest(LABELLED_CHANNELS, hub.channels.values(), key=lambda each: len(each.audience))
    followed = {channel.name: len(channel.audience) for channel in most}
    yield _gauge("channel_subscribers", "Browsers of the channels with the most.", "channel", followed)
    kept = {channel.name: len(channel.history) for channel in most}
    yield _gauge("channel_history", "Messages kept of the channels with the most.", "channel", kept)


def _gauge(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    metric = GaugeMetricFamily(f"nsqgw_push_{name}", text, labels=[label])
    for value, number in values.items():
        metric.add_metric([value], number)
    return metric


def _counter(name: str, text: str, label: str, values: Mapping[str, int] | Mapping[int, int]) -> Metric:
    metric = CounterMetricFamily(f"nsqgw_push_{name}", text, labels=[label])
    for value, number in values.items():
        metric.add_metric([str(value)], number)
    return metric
