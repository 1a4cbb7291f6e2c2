"""What a running pipeline is doing, at one moment: for /status, which `nsqgw ship top` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gateways.pipeline.branch import Branch
from gateways.pipeline.counters import Stream
from gateways.pipeline.pipeline import Pipeline


class Running(NamedTuple):
    """One pipeline that runs.

    connections  nsqds by topic and channel
    rdy          messages that they may send unasked, by topic and channel
    touched      times that more time was asked for a message in hand
    trouble      why it does not do its work, None when it does
    """

    name: str
    pipeline: Pipeline
    connections: Mapping[Stream, int]
    rdy: Mapping[Stream, int]
    touched: int
    trouble: str | None

    @property
    def streams(self) -> Iterable[Stream]:
        """All topics that are or were consumed, each with its channel."""
        return dict.fromkeys((*self.connections, *self.pipeline.counters.received))


def status(running: Running) -> dict[str, Any]:
    """The pipeline as JSON: totals since its start, what is in hand, and the same for each sink."""
    pipeline, counters = running.pipeline, running.pipeline.counters
    return {
        "pipeline": running.name,
        "topics": sorted({topic for topic, _ in running.streams}),
        "connections": sum(running.connections.values()),
        "trouble": running.trouble,
        "received": counters.received.total(),
        "received_bytes": counters.received_bytes.total(),
        "finished": counters.finished.total(),
        "requeued": counters.requeued.total(),
        "dead_letters": counters.dead_letters.total(),
        "held_messages": pipeline.held_messages,
        "held_bytes": pipeline.held_bytes,
        "oldest_seconds": round(pipeline.oldest_age, 3),
        "sinks": [_sink_status(branch) for branch in pipeline.branches],
    }


def _sink_status(branch: Branch) -> dict[str, Any]:
    counters = branch.counters
    return {
        "sink": branch.name,
        "where": branch.sink.describe(),
        "state": "open" if branch.is_open else "failing" if branch.trouble is not None else "ok",
        "trouble": branch.trouble,
        "events": counters.events_sent,
        "bytes": counters.bytes_sent,
        "tries": counters.batches.total(),
        "try_seconds": round(counters.seconds.total, 6),
        "retries": counters.retries.total(),
        "dropped": counters.dropped.total(),
        "held_messages": branch.held_messages,
        "held_bytes": branch.held_bytes,
        "oldest_seconds": round(branch.oldest_age, 3),
        "concurrency": branch.concurrency,
    }
