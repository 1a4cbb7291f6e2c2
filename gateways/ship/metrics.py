"""The figures of the log gateway as Prometheus metrics, read from the live pipelines at scrape time.

Counters are there from the start, as 0: a rate over one that appears with its first event misses that event.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from gateways.pipeline.branch import Branch
from gateways.pipeline.counters import (
    DROP_REASONS,
    REQUEUE_REASONS,
    RETRY_REASONS,
    Counters,
    SinkCounters,
    Stream,
)
from gateways.pipeline.histogram import Histogram
from gateways.pipeline.sink import Asking, Fate, Skipping
from gateways.ship.status import Running

_STREAM = ("pipeline", "topic", "channel")
_SINK = ("pipeline", "sink")

_PipelineSink = tuple[str, Branch]
"""A sink, and the name of its pipeline."""

_BY_STREAM: tuple[tuple[str, str, Callable[[Counters], Mapping[Stream, int]]], ...] = (
    ("messages_received", "Messages taken in.", lambda counters: counters.received),
    ("message_bytes_received", "Bytes of their bodies.", lambda counters: counters.received_bytes),
    ("messages_finished", "Messages confirmed and finished.", lambda counters: counters.finished),
    (
        "messages_late",
        "Answers that came too late, so nsqd delivers again: raise its --msg-timeout when this grows.",
        lambda counters: counters.late,
    ),
    ("messages_deduplicated", "Messages that all sinks had already.", lambda counters: counters.duplicates),
)

_BY_SINK: tuple[tuple[str, str, Callable[[SinkCounters], float]], ...] = (
    ("events_sent", "Events confirmed by the sink.", lambda counters: counters.events_sent),
    ("bytes_sent", "Bytes of events confirmed by the sink.", lambda counters: counters.bytes_sent),
    (
        "retry_after_seconds",
        "Seconds for which the sink asked to be left alone (Retry-After); when it grows, a quota is used up.",
        lambda counters: counters.retry_after,
    ),
    (
        "duplicates",
        "Events that the sink had already and kept once, as far as it says so.",
        lambda counters: counters.duplicates,
    ),
    (
        "maybe_duplicates",
        "Events sent again after a try without an answer: the sink may have them twice.",
        lambda counters: counters.maybe_duplicates,
    ),
)

_BY_SINK_AND_REASON: tuple[
    tuple[str, str, str, Iterable[str], Callable[[Branch], Mapping[str, int]]], ...
] = (
    (
        "batches",
        "Tries to send a batch, by what became of it.",
        "outcome",
        [fate.value for fate in Fate],
        lambda sink: sink.counters.batches,
    ),
    (
        "retries",
        "Tries after the first one of a batch, by what came of the one before; when it grows, see the log.",
        "reason",
        RETRY_REASONS,
        lambda sink: sink.counters.retries,
    ),
    (
        "requests",
        "Requests of sinks over HTTP, by the status of the answer; none: there was no answer.",
        "status",
        (),
        lambda sink: sink.sink.answers if isinstance(sink.sink, Asking) else {},
    ),
    (
        "events_dropped",
        "Events a sink that is not required did not get; make it required when none may be missing.",
        "reason",
        DROP_REASONS,
        lambda sink: sink.counters.dropped,
    ),
    (
        "events_skipped",
        "Events a sink leaves out on purpose, such as empty ones for nginx.",
        "reason",
        (),
        lambda sink: sink.sink.skipped if isinstance(sink.sink, Skipping) else {},
    ),
    (
        "events_failed",
        "Events that a try did not bring to the sink, by what becomes of them; each try counts.",
        "outcome",
        [fate.value for fate in Fate if fate is not Fate.CONFIRMED],
        lambda sink: sink.counters.failed,
    ),
)

_HISTOGRAMS: tuple[tuple[str, str, Callable[[SinkCounters], Histogram]], ...] = (
    ("send_seconds", "Seconds one try took.", lambda counters: counters.seconds),
    ("batch_events", "Events of the batches that were tried.", lambda counters: counters.batch_events),
    (
        "batch_bytes",
        "Bytes of the batches that were tried; small ones cost a round trip each: raise batch.max_age.",
        lambda counters: counters.batch_bytes,
    ),
    (
        "end_to_end_seconds",
        "Seconds from when nsqd took a message to the sink's confirmation.",
        lambda counters: counters.latency,
    ),
)

_GAUGES: tuple[tuple[str, str, Callable[[Branch], float]], ...] = (
    ("sink_messages_held", "Messages the sink has not confirmed.", lambda sink: sink.held_messages),
    ("sink_bytes_held", "Their size, encoded.", lambda sink: sink.held_bytes),
    (
        "sink_oldest_unfinished_seconds",
        "Age of the oldest of them; above a minute the sink is down or too slow: see /ready.",
        lambda sink: sink.oldest_age,
    ),
    (
        "sink_failing",
        "1 while the sink takes nothing; /ready and the log say why, and what a person has to mend.",
        lambda sink: sink.trouble is not None,
    ),
    (
        "sink_circuit_open",
        "1 while it failed for so long that nothing is taken in because of it; nsqd keeps the messages.",
        lambda sink: sink.is_open,
    ),
    (
        "sink_concurrency",
        "Batches that may be on their way to it at once.",
        lambda sink: sink.concurrency,
    ),
)


def ship_metrics(running: Sequence[Running]) -> Iterable[Metric]:
    """All metrics of the pipelines."""
    yield from _by_stream(running)
    yield from _by_pipeline(running)
    sinks = [(each.name, branch) for each in running for branch in each.pipeline.branches]
    yield from _by_sink(sinks)
    yield from _by_sink_and_reason(sinks)
    yield from _histograms(sinks)


def reload_metrics(reloads: Mapping[str, int], last_failed: bool) -> Iterable[Metric]:
    """What came of the reloads since the start."""
    family = CounterMetricFamily("nsqgw_ship_reloads", "Reloads by what came of them.", labels=("result",))
    for result, count in reloads.items():
        family.add_metric([result], count)
    yield family
    yield GaugeMetricFamily(
        "nsqgw_ship_last_reload_failed",
        "1 while the file was refused and the old configuration is in force: run nsqgw ship validate.",
        value=last_failed,
    )


def _by_stream(running: Sequence[Running]) -> Iterable[Metric]:
    for name, text, counts in _BY_STREAM:
        family = CounterMetricFamily(f"nsqgw_ship_{name}", text, labels=_STREAM)
        for each in running:
            found = counts(each.pipeline.counters)
            for stream in each.streams:
                family.add_metric([each.name, *stream], found.get(stream, 0))
        yield family
    requeued = CounterMetricFamily(
        "nsqgw_ship_messages_requeued",
        "Messages given back to nsqd: by `drain` at each stop, by the others while a sink takes nothing.",
        labels=(*_STREAM, "reason"),
    )
    dead = CounterMetricFamily(
        "nsqgw_ship_dead_letters",
        "Messages stored as dead letters, by who refused them: look with nsqgw ship dlq list.",
        labels=(*_STREAM, "refused_by"),
    )
    filtered = CounterMetricFamily(
        "nsqgw_ship_messages_filtered",
        "Messages that a transform dropped on purpose, by its kind.",
        labels=(*_STREAM, "transform"),
    )
    for each in running:
        counters = each.pipeline.counters
        for stream, reason in itertools.product(each.streams, REQUEUE_REASONS):
            requeued.add_metric([each.name, *stream, reason], counters.requeued[stream, reason])
        for (stream, by), count in counters.dead_letters.items():
            dead.add_metric([each.name, *stream, by], count)
        for (stream, by), count in counters.filtered.items():
            filtered.add_metric([each.name, *stream, by], count)
    yield from (requeued, dead, filtered)


def _by_pipeline(running: Sequence[Running]) -> Iterable[Metric]:
    for name, text, value in (
        (
            "ready",
            "0 while the pipeline does not do its work; /ready says why.",
            lambda each: each.trouble is None,
        ),
        (
            "messages_in_flight",
            "Messages in hand; steadily at max_in_flight, the sinks are slower than the topics.",
            lambda each: each.pipeline.held_messages,
        ),
        ("held_bytes", "Bytes in hand; max_bytes_held bounds it.", lambda each: each.pipeline.held_bytes),
        (
            "oldest_unfinished_seconds",
            "Age of the oldest message in hand; above retry_budget it goes back to nsqd.",
            lambda each: each.pipeline.oldest_age,
        ),
    ):
        family = GaugeMetricFamily(f"nsqgw_ship_{name}", text, labels=("pipeline",))
        for each in running:
            family.add_metric([each.name], value(each))
        yield family
    touched = CounterMetricFamily(
        "nsqgw_ship_messages_touched",
        "Times that nsqd was asked for more time for a message in hand; it grows while sinks are slow.",
        labels=("pipeline",),
    )
    for each in running:
        touched.add_metric([each.name], each.touched)
    yield touched
    yield from _connections(running)


def _connections(running: Sequence[Running]) -> Iterable[Metric]:
    connected = GaugeMetricFamily(
        "nsqgw_ship_connections",
        "Connections to nsqds; 0 means that nothing comes in: see /ready.",
        labels=_STREAM,
    )
    rdy = GaugeMetricFamily(
        "nsqgw_ship_rdy",
        "Messages that nsqds may send unasked; 0 while the sinks take nothing.",
        labels=_STREAM,
    )
    for each in running:
        for stream, count in each.connections.items():
            connected.add_metric([each.name, *stream], count)
            rdy.add_metric([each.name, *stream], each.rdy.get(stream, 0))
    yield from (connected, rdy)


def _by_sink(sinks: Sequence[_PipelineSink]) -> Iterable[Metric]:
    for name, text, count_of in _BY_SINK:
        family = CounterMetricFamily(f"nsqgw_ship_{name}", text, labels=_SINK)
        for pipeline, sink in sinks:
            family.add_metric([pipeline, sink.name], count_of(sink.counters))
        yield family
    for name, text, value_of in _GAUGES:
        gauge = GaugeMetricFamily(f"nsqgw_ship_{name}", text, labels=_SINK)
        for pipeline, sink in sinks:
            gauge.add_metric([pipeline, sink.name], value_of(sink))
        yield gauge


def _by_sink_and_reason(sinks: Sequence[_PipelineSink]) -> Iterable[Metric]:
    for name, text, label, known, counts in _BY_SINK_AND_REASON:
        family = CounterMetricFamily(f"nsqgw_ship_{name}", text, labels=(*_SINK, label))
        for pipeline, sink in sinks:
            for value, count in {**dict.fromkeys(known, 0), **counts(sink)}.items():
                family.add_metric([pipeline, sink.name, value], count)
        yield family


def _histograms(sinks: Sequence[_PipelineSink]) -> Iterable[Metric]:
    for name, text, of in _HISTOGRAMS:
        family = HistogramMetricFamily(f"nsqgw_ship_{name}", text, labels=_SINK)
        for pipeline, sink in sinks:
            found = of(sink.counters)
            family.add_metric([pipeline, sink.name], found.up_to_bounds(), found.total)
        yield family
