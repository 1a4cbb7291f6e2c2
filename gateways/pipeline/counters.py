"""What a pipeline counts; metrics are made of it when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from gateways.pipeline.histogram import BYTES, EVENTS, LATENCY_SECONDS, Histogram
from gateways.pipeline.sink import Fate, Outcome
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

RETRY_REASONS = ("retry", "unsure", "blocked", "too_large", "rejected")
"""Why a batch is tried again, by its last try: not taken; without an answer; a person has to act; too large,
or refused, so that parts of it are tried."""

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
    retries                   tries after a batch's first one, by one of RETRY_REASONS
    seconds                   how long tries took that were answered
    batch_events, batch_bytes  the batches that were tried
    latency                   seconds from when nsqd took a message to the sink's word that it has it
    failed                    events that a try did not bring to the sink, by their fate
    retry_after               seconds that the sink asked to be left alone
    duplicates                confirmed events that the sink had already, and kept once
    maybe_duplicates          events that were sent without an answer, and are sent again
    dropped                   events that a best-effort sink did not get, by one of DROP_REASONS
    """

    batches: Counter[str] = field(default_factory=Counter)
    events_sent: int = 0
    bytes_sent: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    seconds: Histogram = field(default_factory=Histogram)
    batch_events: Histogram = field(default_factory=lambda: Histogram(EVENTS))
    batch_bytes: Histogram = field(default_factory=lambda: Histogram(BYTES))
    latency: Histogram = field(default_factory=lambda: Histogram(LATENCY_SECONDS))
    failed: Counter[str] = field(default_factory=Counter)
    retry_after: float = 0.0
    duplicates: int = 0
    maybe_duplicates: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def note_try(self, outcome: Outcome, events: int, size: int, seconds: float) -> None:
        """What came of one try of a batch."""
        self.seconds.add(seconds)
        self.batch_events.add(events)
        self.batch_bytes.add(size)
        self.batches[outcome.fate.value] += 1
        self.retry_after += outcome.retry_after or 0.0
        fates = outcome.per_event or [outcome.fate] * events
        for fate in {*fates} - {Fate.CONFIRMED}:
            self.failed[fate.value] += fates.count(fate)
        self.duplicates += outcome.duplicates
        self.maybe_duplicates += outcome.sent_again
        if outcome.unsure:
            self.maybe_duplicates += fates.count(Fate.RETRY)


def retry_reason(outcome: Outcome) -> str | None:
    """Why the next try is made, after a try with this outcome; None where that was not in vain."""
    if outcome.fate is Fate.CONFIRMED:
        return None
    return "unsure" if outcome.unsure and outcome.fate is Fate.RETRY else outcome.fate.value
