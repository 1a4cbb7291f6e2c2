"""The figures of the log gateway as Prometheus metrics, read from the live pipeline at scrape time.

Counters are there from the start, as 0: a rate over one that appears with its first event misses that event.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from gateways.pipeline.branch import Branch
from gateways.pipeline.counters import DROP_REASONS, REQUEUE_REASONS, Stream
from gateways.pipeline.pipeline import Pipeline
from gateways.pipeline.sink import Fate

_STREAM = ("topic", "channel", "sink")


def ship_metrics(pipeline: Pipeline, connections: Mapping[Stream, int]) -> Iterable[Metric]:
    """All metrics of one pipeline; `connections` counts the nsqds by topic and channel."""
    counters = pipeline.counters
    none = dict.fromkeys(connections, 0)
    sinks = ",".join(branch.name for branch in pipeline.branches)
    yield _by_stream("messages_received", "Messages taken in.", none | counters.received, sinks)
    yield _by_stream(
        "message_bytes_received", "Bytes of their bodies.", none | counters.received_bytes, sinks
    )
    yield _by_stream("messages_finished", "Messages confirmed and finished.", none | counters.finished, sinks)
    yield _by_stream("messages_late", "Answers that came too late: redelivered.", none | counters.late, sinks)
    yield _by_stream(
        "messages_deduplicated", "Messages that all sinks had already.", none | counters.duplicates, sinks
    )
    yield _by_stream("messages_filtered", "Messages dropped on purpose.", none | counters.filtered, sinks)
    requeued = CounterMetricFamily(
        "nsqgw_ship_messages_requeued", "Messages given back to nsqd.", labels=(*_STREAM, "reason")
    )
    for stream, reason in itertools.product(connections, REQUEUE_REASONS):
        requeued.add_metric([*stream, sinks, reason], counters.requeued[stream, reason])
    yield requeued
    dead = CounterMetricFamily("nsqgw_ship_dead_letters", "Messages stored as dead letters.", labels=_STREAM)
    for (stream, by), count in counters.dead_letters.items():
        dead.add_metric([*stream, by], count)
    yield dead
    yield _gauge("messages_in_flight", "Messages in hand.", {sinks: pipeline.held_messages})
    yield _gauge("held_bytes", "Bytes in hand, encoded.", {sinks: pipeline.held_bytes})
    yield _gauge(
        "oldest_unfinished_seconds", "Age of the oldest message in hand.", {sinks: pipeline.oldest_age}
    )
    yield from _by_sink(pipeline.branches)
    connected = GaugeMetricFamily("nsqgw_ship_connections", "Connections to nsqds.", labels=_STREAM)
    for stream, count in connections.items():
        connected.add_metric([*stream, sinks], count)
    yield connected


def _by_sink(branches: Sequence[Branch]) -> Iterable[Metric]:
    """What each sink was sent, and how it is."""
    batches = CounterMetricFamily(
        "nsqgw_ship_batches", "Tries to send a batch, by what became of it.", labels=("sink", "outcome")
    )
    dropped = CounterMetricFamily(
        "nsqgw_ship_events_dropped", "Events a best-effort sink did not get.", labels=("sink", "reason")
    )
    for branch in branches:
        for fate in Fate:
            batches.add_metric([branch.name, fate.value], branch.counters.batches[fate.value])
        for reason in DROP_REASONS:
            dropped.add_metric([branch.name, reason], branch.counters.dropped[reason])
    yield batches
    yield dropped
    sent = {branch.name: branch.counters for branch in branches}
    for name, text, field in (
        ("events_sent", "Events confirmed by the sink.", "events_sent"),
        ("bytes_sent", "Bytes of events confirmed by the sink.", "bytes_sent"),
        ("retries", "Tries after the first one of a batch.", "retries"),
        ("send_seconds", "Seconds spent in tries.", "seconds"),
        ("maybe_duplicates", "Events sent again after a try without an answer.", "maybe_duplicates"),
    ):
        family = CounterMetricFamily(f"nsqgw_ship_{name}", text, labels=("sink",))
        for sink, counters in sent.items():
            family.add_metric([sink], getattr(counters, field))
        yield family
    yield _gauge(
        "sink_failing",
        "1 while the sink takes nothing.",
        {branch.name: branch.trouble is not None for branch in branches},
    )
    yield _gauge(
        "sink_circuit_open",
        "1 while nothing is taken in because of it.",
        {branch.name: branch.is_open for branch in branches},
    )
    yield _gauge(
        "sink_concurrency",
        "Batches that may be on their way to it at once.",
        {branch.name: branch.concurrency for branch in branches},
    )


def _by_stream(name: str, text: str, counts: Mapping[Stream, int], sink: str) -> Metric:
    family = CounterMetricFamily(f"nsqgw_ship_{name}", text, labels=_STREAM)
    for stream, count in counts.items():
        family.add_metric([*stream, sink], count)
    return family


def _gauge(name: str, text: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"nsqgw_ship_{name}", text, labels=("sink",))
    for sink, value in values.items():
        family.add_metric([sink], value)
    return family
