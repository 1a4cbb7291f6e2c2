"""Messages to a sink outside of a pipeline: once, and with an answer for each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateways.pipeline.batch import Batch, Batcher, BatchLimits
from gateways.pipeline.sink import Fate, Outcome, Sink
from nsqgw.deadline import within
from nsqgw.message import Message

_LIMITS = BatchLimits(max_messages=500, max_bytes=5_000_000)
_SEND_TIMEOUT = 30.0


def batches_of(sink: Sink, messages: Sequence[Message]) -> list[Batch]:
    """The messages in their order, in batches that the sink takes."""
    batcher = Batcher(_LIMITS.within(sink.max_events, sink.max_bytes), sink.encode, sink.event_overhead)
    batches = batcher.add(messages, asyncio.get_running_loop().time())
    last = batcher.cut()
    return batches if last is None else [*batches, last]


async def send_apart(sink: Sink, batch: Batch) -> tuple[Outcome, list[Fate]]:
    """What the sink says of a batch, and of each event in it.

    A batch that is refused as a whole is halved until those that cannot be taken are alone. Raises SinkGone.
    """
    try:
        outcome = await within(_SEND_TIMEOUT, sink.send(batch))
    except asyncio.TimeoutError:
        outcome = Outcome(Fate.RETRY, f"no answer within {_SEND_TIMEOUT:g}s")
    if outcome.per_event is not None and len(outcome.per_event) == len(batch):
        return outcome, list(outcome.per_event)
    if outcome.fate not in (Fate.REJECTED, Fate.TOO_LARGE) or len(batch) == 1:
        return outcome, [outcome.fate] * len(batch)
    first, second = batch.halves()
    one, its_fates = await send_apart(sink, first)
    other, other_fates = await send_apart(sink, second)
    return (other if one.fate is Fate.CONFIRMED else one), its_fates + other_fates
