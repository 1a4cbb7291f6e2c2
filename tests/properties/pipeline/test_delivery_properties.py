"""Whatever a sink answers, each event comes to exactly one end, and bad ones are found in few tries."""

from __future__ import annotations

import asyncio
import math

from hypothesis import given
from hypothesis import strategies as st

from gateways.pipeline.batch import Batch
from gateways.pipeline.delivery import DeliveryLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from harness.pipeline import RecordingOrigin, ScriptedSink, WatchedDelivery, make_batch

QUICK = RetryPolicy(initial=0.0, cap=0.0)

ANSWERS = st.one_of(
    st.sampled_from(Fate).map(lambda fate: Outcome(fate, "whole")),
    st.lists(st.sampled_from(Fate), max_size=20).map(lambda fates: Outcome(Fate.RETRY, "mixed", None, fates)),
)


def fitted(answer: Outcome) -> object:
    """The answer, with fates for as many events as the batch has."""

    def step(batch: Batch) -> Outcome:
        if not answer.per_event:
            return answer
        fates = [answer.per_event[index % len(answer.per_event)] for index in range(len(batch))]
        return Outcome(answer.fate, answer.reason, None, fates)

    return step


async def deliver(sink: ScriptedSink, bodies: list[list[bytes]], concurrency: int) -> RecordingOrigin:
    origin = RecordingOrigin()
    delivery = WatchedDelivery(sink, QUICK, DeliveryLimits(concurrency, concurrency, 10.0))
    for events in bodies:
        delivery.submit(make_batch(events, origin, born=asyncio.get_running_loop().time()))
    await asyncio.wait_for(delivery.wait_empty(), 10)
    assert (delivery.held_messages, delivery.held_bytes) == (0, 0)
    await delivery.close()
    return origin


@given(st.lists(ANSWERS, max_size=40), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 3))
def test_each_event_comes_to_one_end(answers: list[Outcome], sizes: list[int], concurrency: int) -> None:
    sink = ScriptedSink(*[fitted(answer) for answer in answers])  # type: ignore[arg-type] # steps, all of them
    bodies = [[b"%d-%d" % (number, event) for event in range(size)] for number, size in enumerate(sizes)]
    origin = asyncio.run(deliver(sink, bodies, concurrency))
    ended = origin.finished + [body for body, _ in origin.requeued]
    assert sorted(ended) == sorted(body for events in bodies for body in events)


@given(st.integers(1, 300), st.data())
def test_bad_events_are_found_in_few_tries(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, count - 1), max_size=min(6, count - 1)))
    refused = {b"%d" % number for number in bad}

    def judge(batch: Batch) -> Outcome:
        return Outcome(Fate.REJECTED, "HTTP 400") if refused & set(batch.events) else CONFIRMED

    sink = ScriptedSink(*[judge] * 10_000)
    origin = asyncio.run(deliver(sink, [[b"%d" % number for number in range(count)]], 1))
    assert {body for body, _ in origin.requeued} == refused
    assert len(origin.finished) == count - len(refused)
    assert len(sink.tried) <= 1 + 2 * len(refused) * math.ceil(math.log2(max(count, 2)))


@given(st.integers(1, 200), st.integers(2, 60))
def test_too_large_batches_converge_and_only_too_large_events_are_refused(count: int, most: int) -> None:
    def judge(batch: Batch) -> Outcome:
        return Outcome(Fate.TOO_LARGE, "HTTP 413") if batch.size > most else CONFIRMED

    bodies = [b"x" * (100 if number % 50 == 49 else 1) for number in range(count)]
    origin = asyncio.run(deliver(ScriptedSink(*[judge] * 10_000), [bodies], 1))
    assert [body for body, _ in origin.requeued] == [body for body in bodies if len(body) == 100]
    assert len(origin.finished) == sum(len(body) == 1 for body in bodies)
