"""What a pipeline counts; metrics are made of it when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from gateways.pipeline.durations import Durations
from nsqgw.message import Message

Stream = tuple[str, str]
"""Topic and channel."""

_origin = attrgetter("origin")


def runs(messages: Iterable[Message]) -> Iterator[tuple[Stream, list[Message]]]:
    """Messages that stand together and came in one read, with their topic and channel: counted as one."""
    for origin, run in groupby(messages, _origin):
        yield (origin.topic, origin.channel), list(run)


REQUEUE_REASONS = ("budget", "drain", "age", "rejected")
"""Why messages are given back: a sink failed for too long, the gateway stops, nsqd's hard limit for holding a
message comes near, or a sink refused an event and there is no place for dead letters."""

DROP_REASONS = ("full", "failed", "rejected", "drain")
"""Why a best-effort sink did not get an event: it was behind, failed for too long, refused it, or had no time
left at the stop."""


@dataclass(slots=True)
class Counters:
    """Totals since the start, by topic and channel.

    received, received_bytes  messages taken in, and their bodies
    finished                  messages whose FIN was sent; nsqd may refuse it yet, see `late`
    requeued                  messages given back, by stream and one of REQUEUE_REASONS
    late                      answers that found the connection gone, or that nsqd refused: they come again
    duplicates                messages that all sinks had already: finished without being sent
    filtered                  messages that a transform dropped on purpose, by stream and the transform
    dead_letters              messages whose dead letter was stored, by stream and the sink or transform
    """

    received: Counter[Stream] = field(default_factory=Counter)
    received_bytes: Counter[Stream] = field(default_factory=Counter)
    finished: Counter[Stream] = field(default_factory=Counter)
    requeued: Counter[tuple[Stream, str]] = field(default_factory=Counter)
    late: Counter[Stream] = field(default_factory=Counter)
    duplicates: Counter[Stream] = field(default_factory=Counter)
    filtered: Counter[tuple[Stream, str]] = field(default_factory=Counter)
    dead_letters: Counter[tuple[Stream, str]] = field(default_factory=Counter)


@dataclass(slots=True)
class SinkCounters:
    """Totals of one sink since the start.

    batches                   tries by the fate of the batch
    events_sent, bytes_sent   confirmed by the sink, framing included
    retries                   tries after a batch's first one
    seconds                   how long tries took that were answered
    maybe_duplicates          events that were sent in tries without an answer, and are tried again
    dropped                   events that a best-effort sink did not get, by one of DROP_REASONS
    """

    batches: Counter[str] = field(default_factory=Counter)
    events_sent: int = 0
    bytes_sent: int = 0
    retries: int = 0
    seconds: Durations = field(default_factory=Durations)
    maybe_duplicates: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
