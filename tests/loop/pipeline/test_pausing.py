"""When messages are left to nsqd: a sink that fails for long, memory that is full, time that runs out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateways.pipeline.batch import Batch, BatchLimits
from gateways.pipeline.fan_out import Route
from gateways.pipeline.pipeline import Pipeline, PipelineLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from harness.pipeline import FakeSource, ScriptedSink, hang, make_messages
from harness.polling import eventually_async

STREAM = ("events", "archive")
DOWN = [Outcome(Fate.RETRY, "down")] * 100_000

Start = Callable[..., Pipeline]


@pytest.fixture
def start(run: Start, source: FakeSource) -> Start:
    """Starts a pipeline from the source to a sink; keywords are those of the limits."""

    def start_one(sink: ScriptedSink, budget: float = 300.0, **limits: Any) -> Pipeline:
        retry = RetryPolicy(0.001, 2, 0.005, budget=budget)
        return run([source], [Route(sink)], PipelineLimits(BatchLimits(), **limits), retry)

    return start_one


async def test_a_sink_that_is_down_stops_the_consumers_and_one_batch_at_a_time_tries_it(
    start: Start, source: FakeSource
) -> None:
    pipeline = start(sink := ScriptedSink(*DOWN), max_in_flight=50)
    source.deliver(b"a")
    source.deliver(b"b")
    await eventually_async(lambda: source.paused)
    assert pipeline.trouble == "scripted sink: down"
    tries = len(sink.tried)
    await eventually_async(lambda: len(sink.tried) > tries + 5)
    assert sink.under_way <= 1
    assert source.origin.requeued == source.origin.finished == []
    sink.recover()
    await eventually_async(lambda: source.max_in_flight == 50)
    await eventually_async(lambda: sorted(source.origin.finished) == [b"a", b"b"])
    assert pipeline.trouble is None


async def test_refused_credentials_stop_the_consumers_at_once(start: Start, source: FakeSource) -> None:
    start(ScriptedSink(Outcome(Fate.BLOCKED, "HTTP 401"), hang), max_in_flight=50)
    source.deliver(b"a")
    await eventually_async(lambda: source.paused)


async def test_when_all_was_given_back_single_messages_probe_the_sink(
    start: Start, source: FakeSource
) -> None:
    refused = [Outcome(Fate.BLOCKED, "HTTP 403")] * 100_000
    pipeline = start(sink := ScriptedSink(*refused), budget=0.5, max_in_flight=50)
    source.deliver(b"a", b"b")
    await eventually_async(lambda: len(source.origin.requeued) == 2)
    await eventually_async(lambda: source.max_in_flight == 1)
    source.deliver(b"probe")
    await eventually_async(lambda: source.paused)  # one is enough
    await eventually_async(lambda: len(source.origin.requeued) == 3)
    await eventually_async(lambda: source.max_in_flight == 1)
    sink.recover()
    source.deliver(b"probe 2")
    await eventually_async(lambda: source.max_in_flight == 50)
    assert source.origin.finished == [b"probe 2"]
    assert pipeline.counters.requeued[STREAM, "budget"] == 3


async def test_concurrency_begins_again_with_one_after_an_outage_and_grows(
    start: Start, source: FakeSource
) -> None:
    limits: list[int] = []

    async def answer(batch: Batch) -> Outcome:
        limits.append(pipeline.branches[0].concurrency)
        await asyncio.sleep(0.001)
        return CONFIRMED

    script = [*DOWN[:3], *[answer] * 1000]
    pipeline = start(sink := ScriptedSink(*script), concurrency=4, max_concurrency=8)
    source.deliver(b"first")
    await eventually_async(lambda: source.origin.finished)
    for number in range(200):
        source.deliver(b"%d" % number)
    await eventually_async(lambda: len(source.origin.finished) == 201)
    assert limits[0] == 1
    assert 1 < sink.most_under_way <= max(limits) <= 8


async def test_large_messages_lower_what_may_be_in_flight(start: Start, source: FakeSource) -> None:
    start(ScriptedSink(), max_in_flight=2500, max_bytes_held=1_000_000)
    source.deliver(b"x" * 10_000)
    await eventually_async(lambda: source.max_in_flight == 64)


async def test_messages_go_back_before_nsqd_takes_them_away(start: Start, source: FakeSource) -> None:
    pipeline = start(sink := ScriptedSink(*DOWN))
    source.deliver(b"a", b"b")
    await eventually_async(lambda: len(sink.tried) > 2)
    held = make_messages([b"elsewhere"], source.origin)
    pipeline.give_back_within([*sink.messages, *held], seconds=0.02)
    await eventually_async(lambda: len(source.origin.requeued) == 3)
    assert all(delay is not None and 15 <= delay <= 30 for _, delay in source.origin.requeued)
    assert pipeline.counters.requeued[STREAM, "age"] == 3
    sink.recover()
    await eventually_async(lambda: pipeline.held_messages == 0)
    assert sink.delivered == []  # what went back is not sent any more
    assert source.origin.finished == []


async def test_what_is_confirmed_in_time_does_not_go_back(start: Start, source: FakeSource) -> None:
    pipeline = start(sink := ScriptedSink())
    source.deliver(b"a")
    await eventually_async(lambda: source.origin.finished == [b"a"])
    pipeline.give_back_within(sink.messages, seconds=0.0)
    await asyncio.sleep(0.01)
    assert source.origin.requeued == []


async def test_an_outage_under_load_holds_no_more_than_came_before_the_pause(
    start: Start, source: FakeSource
) -> None:
    pipeline = start(sink := ScriptedSink(*DOWN), max_in_flight=20)
    arrived = 0
    while not source.paused:
        source.deliver(b"x" * 100)
        arrived += 1
        await asyncio.sleep(0)
    held = pipeline.held_bytes
    most = 2 * 101 * arrived  # each event, and once more in a request
    assert held <= most
    await asyncio.sleep(0.05)
    assert pipeline.held_bytes <= most
    sink.recover()
    await eventually_async(lambda: len(source.origin.finished) == arrived)
    assert pipeline.held_bytes == 0
