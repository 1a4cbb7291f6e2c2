"""The figures of the log gateway as Prometheus metrics, read from the live pipeline at scrape time.

Counters are there from the start, as 0: a rate over one that appears with its first event misses that event.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from gateways.pipeline.counters import REQUEUE_REASONS, Stream
from gateways.pipeline.pipeline import Pipeline
from gateways.pipeline.sink import Fate

_STREAM = ("topic", "channel", "sink")


def ship_metrics(pipeline: Pipeline, sink: str, connections: Mapping[Stream, int]) -> Iterable[Metric]:
    """All metrics of one pipeline; `connections` counts the nsqds by topic and channel."""
    counters = pipeline.counters
    none = dict.fromkeys(connections, 0)
    yield _by_stream("messages_received", "Messages taken in.", none | counters.received, sink)
    yield _by_stream("message_bytes_received", "Bytes of their bodies.", none | counters.received_bytes, sink)
    yield _by_stream("messages_finished", "Messages confirmed and finished.", none | counters.finished, sink)
    yield _by_stream("messages_late", "Answers that came too late: redelivered.", none | counters.late, sink)
    requeued = CounterMetricFamily(
        "nsqgw_ship_messages_requeued", "Messages given back to nsqd.", labels=(*_STREAM, "reason")
    )
    for stream, reason in itertools.product(connections, REQUEUE_REASONS):
        requeued.add_metric([*stream, sink, reason], counters.requeued[stream, reason])
    yield requeued
    batches = CounterMetricFamily(
        "nsqgw_ship_batches", "Tries to send a batch, by what became of it.", labels=("sink", "outcome")
    )
    for fate in Fate:
        batches.add_metric([sink, fate.value], counters.batches[fate.value])
    yield batches
    yield _total("events_sent", "Events confirmed by the sink.", counters.events_sent, sink)
    yield _total("bytes_sent", "Bytes of events confirmed by the sink.", counters.bytes_sent, sink)
    yield _total("retries", "Tries after the first one of a batch.", counters.retries, sink)
    yield _gauge("messages_in_flight", "Messages in hand.", pipeline.held_messages, sink)
    yield _gauge("held_bytes", "Bytes in hand, encoded.", pipeline.held_bytes, sink)
    yield _gauge("oldest_unfinished_seconds", "Age of the oldest message in hand.", pipeline.oldest_age, sink)
    yield _gauge("sink_failing", "1 while the sink takes nothing.", pipeline.trouble is not None, sink)
    connected = GaugeMetricFamily("nsqgw_ship_connections", "Connections to nsqds.", labels=_STREAM)
    for stream, count in connections.items():
        connected.add_metric([*stream, sink], count)
    yield connected


def _by_stream(name: str, text: str, counts: Mapping[Stream, int], sink: str) -> Metric:
    family = CounterMetricFamily(f"nsqgw_ship_{name}", text, labels=_STREAM)
    for stream, count in counts.items():
        family.add_metric([*stream, sink], count)
    return family


def _total(name: str, text: str, value: float, sink: str) -> Metric:
    family = CounterMetricFamily(f"nsqgw_ship_{name}", text, labels=("sink",))
    family.add_metric([sink], value)
    return family


def _gauge(name: str, text: str, value: float, sink: str) -> Metric:
    family = GaugeMetricFamily(f"nsqgw_ship_{name}", text, labels=("sink",))
    family.add_metric([sink], value)
    return family
