"""What a pipeline counts; metrics are made of it when they are asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

Stream = tuple[str, str]
"""Topic and channel."""

REQUEUE_REASONS = ("budget", "drain")
"""Why messages are given back: the sink failed for too long, or the gateway stops."""


@dataclass(slots=True)
class Counters:
    """Totals since the start.

    received, received_bytes  messages taken in, and their bodies
    finished                  messages whose FIN was sent; nsqd may refuse it yet, see `late`
    requeued                  messages given back, by stream and one of REQUEUE_REASONS
    late                      answers that found the connection gone, or that nsqd refused: they come again
    batches                   tries by the fate of the batch
    events_sent, bytes_sent   confirmed by the sink, framing included
    retries                   tries after a batch's first one
    """

    received: Counter[Stream] = field(default_factory=Counter)
    received_bytes: Counter[Stream] = field(default_factory=Counter)
    finished: Counter[Stream] = field(default_factory=Counter)
    requeued: Counter[tuple[Stream, str]] = field(default_factory=Counter)
    late: Counter[Stream] = field(default_factory=Counter)
    batches: Counter[str] = field(default_factory=Counter)
    events_sent: int = 0
    bytes_sent: int = 0
    retries: int = 0
