"""The pipeline from consumers to a sink: when batches go out, how much is held, and how it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateways.pipeline.batch import BatchLimits
from gateways.pipeline.fan_out import Route
from gateways.pipeline.pipeline import Pipeline, PipelineLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome, SinkGone
from harness.pipeline import FakeSource, ScriptedSink, confirming, hang
from harness.polling import eventually_async
from nsqgw.message import Message

Start = Callable[..., Pipeline]

LONG = 3600.0


@pytest.fixture
def start(run: Start) -> Start:
    """Starts a pipeline from the sources to the sink; keywords are those of the limits."""

    def start_one(sources: list[FakeSource], sink: ScriptedSink, **limits: Any) -> Pipeline:
        batch = BatchLimits(
            limits.pop("max_messages", 500), limits.pop("max_bytes", 5_000_000), limits.pop("max_age", LONG)
        )
        retry = RetryPolicy(initial=0.001, cap=0.002)
        return run(sources, [Route(sink)], PipelineLimits(batch, **limits), retry)

    return start_one


async def test_a_batch_gathers_messages_of_several_topics(start: Start) -> None:
    first, second = FakeSource("first"), FakeSource("second")
    start([first, second], sink := ScriptedSink(), max_messages=4)
    first.deliver(b"1", b"2")
    second.deliver(b"3", b"4")
    await eventually_async(lambda: sink.delivered)
    assert len(sink.tried) == 1
    assert sorted(sink.delivered) == [b"1", b"2", b"3", b"4"]
    await eventually_async(lambda: first.origin.finished == [b"1", b"2"])
    assert second.origin.finished == [b"3", b"4"]


async def test_a_batch_goes_out_at_its_age(start: Start) -> None:
    source = FakeSource()
    pipeline = start([source], sink := ScriptedSink(), max_age=0.05)
    for round_number in range(3):
        source.deliver(b"%d" % round_number)
        await eventually_async(lambda expected=round_number + 1: len(sink.tried) == expected)
    assert pipeline.counters.received["events", "archive"] == 3


async def test_a_starved_consumer_does_not_wait_for_the_age(start: Start) -> None:
    source = FakeSource()
    source.is_starved = True
    start([source], sink := ScriptedSink())
    source.deliver(b"1", b"2")
    await eventually_async(lambda: sink.delivered == [b"1", b"2"])


async def test_an_old_batch_goes_on_growing_while_the_sink_is_busy(start: Start) -> None:
    source = FakeSource()
    may_go_on = asyncio.Event()
    pipeline = start([source], sink := ScriptedSink(confirming(may_go_on)), max_age=0.01, concurrency=1)
    source.deliver(b"0")
    await eventually_async(lambda: sink.under_way)
    for number in range(1, 6):
        source.deliver(b"%d" % number)
    await eventually_async(lambda: pipeline.held_messages == 6 and pipeline.oldest_age > 0.05)
    assert len(sink.tried) == 1
    may_go_on.set()
    await eventually_async(lambda: len(sink.delivered) == 6)
    assert sink.tried == [[b"0"], [b"1", b"2", b"3", b"4", b"5"]]


async def test_consumers_are_paused_above_the_bound_of_bytes_and_resumed_below_half(start: Start) -> None:
    source = FakeSource()
    may_go_on = asyncio.Event()
    pipeline = start([source], ScriptedSink(confirming(may_go_on)), max_messages=1, max_bytes_held=200)
    source.deliver(b"x" * 60)
    await eventually_async(lambda: pipeline.held_bytes == 2 * 61)
    assert not source.paused
    source.deliver(b"y" * 60)
    await eventually_async(lambda: source.paused)
    may_go_on.set()
    await eventually_async(lambda: not source.paused)
    assert pipeline.held_bytes == 0


class Wrapping(ScriptedSink):
    """Its events are made of bodies, which stay in memory beside them."""

    def encode(self, message: Message) -> bytes:
        return b"<" + message.body + b">"


async def test_memory_is_events_bodies_beside_them_and_requests(start: Start) -> None:
    source = FakeSource()
    may_go_on = asyncio.Event()
    sink = Wrapping(confirming(may_go_on), confirming(may_go_on))
    pipeline = start([source], sink, max_messages=2, concurrency=1)
    source.deliver(*[b"x" * 10] * 4)
    under_way, queued = 2 * (13 + 13 + 10), 2 * (13 + 10)
    await eventually_async(lambda: pipeline.held_bytes == under_way + queued)
    assert pipeline.branches[0].held_bytes == 4 * 13
    may_go_on.set()
    await eventually_async(lambda: pipeline.held_bytes == 0)


async def test_several_batches_are_under_way_but_no_more_than_allowed(start: Start) -> None:
    source = FakeSource()
    start([source], sink := ScriptedSink(*[hang] * 3), max_messages=1, concurrency=3)
    source.deliver(*[b"%d" % number for number in range(10)])
    await eventually_async(lambda: sink.under_way == 3)
    assert sink.most_under_way == 3


async def test_drain_sends_what_is_in_hand(start: Start) -> None:
    source = FakeSource()
    pipeline = start([source], sink := ScriptedSink())
    source.deliver(b"1", b"2")
    await eventually_async(lambda: pipeline.held_messages == 2)
    await pipeline.drain(10.0)
    assert sink.delivered == source.origin.finished == [b"1", b"2"]
    assert source.stopped_within is not None
    assert source.stopped_within >= 10.0


async def test_drain_gives_back_at_the_deadline_what_the_sink_did_not_take(start: Start) -> None:
    source = FakeSource()
    script = [CONFIRMED, *[Outcome(Fate.RETRY, "down")] * 10_000]
    pipeline = start([source], ScriptedSink(*script), max_messages=2, concurrency=2)
    source.deliver(b"1", b"2", b"3", b"4", b"5")
    await eventually_async(lambda: pipeline.trouble)
    await pipeline.drain(0.05)
    assert source.origin.finished == [b"1", b"2"]
    assert sorted(source.origin.requeued) == [(b"3", 0.0), (b"4", 0.0), (b"5", 0.0)]
    assert pipeline.held_messages == 0


async def test_drain_gives_back_at_once_what_waits_for_a_person(start: Start) -> None:
    source = FakeSource()
    refused = [Outcome(Fate.BLOCKED, "HTTP 401")] * 100_000
    pipeline = start([source], sink := ScriptedSink(*refused), max_messages=2)
    source.deliver(b"1", b"2")
    await eventually_async(lambda: pipeline.trouble)
    await asyncio.wait_for(pipeline.drain(LONG), 10)
    assert sink.delivered == source.origin.finished == []
    assert sorted(source.origin.requeued) == [(b"1", 0.0), (b"2", 0.0)]


async def test_a_cancelled_drain_still_gives_everything_back(start: Start) -> None:
    source = FakeSource()
    pipeline = start([source], sink := ScriptedSink(hang), max_messages=1)
    source.deliver(b"1")
    await eventually_async(lambda: sink.under_way)
    drain = asyncio.create_task(pipeline.drain(LONG))
    await asyncio.sleep(0)
    drain.cancel()
    await asyncio.wait([drain], timeout=10)
    assert source.origin.requeued == [(b"1", 0.0)]


async def test_a_sink_that_is_gone_ends_the_pipeline_and_drain_does_not_wait(start: Start) -> None:
    source = FakeSource()
    pipeline = start([source], ScriptedSink(SinkGone("stdout was closed")), max_messages=1, concurrency=1)
    source.deliver(b"1", b"2")
    with pytest.raises(SinkGone, match="stdout was closed"):
        await asyncio.wait_for(pipeline.wait_closed(), 10)
    await asyncio.wait_for(pipeline.drain(LONG), 10)
    assert source.origin.finished == []
    assert sorted(source.origin.requeued) == [(b"1", 0.0), (b"2", 0.0)]
