"""Several sinks at once: a message waits for the required ones, and none holds up another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateways.pipeline.batch import BatchLimits
from gateways.pipeline.event import Event
from gateways.pipeline.fan_out import Route
from gateways.pipeline.pipeline import Pipeline, PipelineLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import Fate, Outcome, SinkGone
from gateways.pipeline.transforms import Dropped, Rejected
from harness.pipeline import FakeSource, ScriptedSink, confirming, hang
from harness.polling import eventually_async
from nsqgw.errors import ConfigError
from nsqgw.message import Message

STREAM = ("events", "archive")
DOWN = [Outcome(Fate.RETRY, "down")] * 100_000

Start = Callable[..., Pipeline]


@pytest.fixture
def start(run: Start, source: FakeSource) -> Start:
    """Starts a pipeline from the source to these routes."""

    def start_one(*routes: Route, budget: float = 300.0, dedup: int = 0, **options: Any) -> Pipeline:
        limits = PipelineLimits(BatchLimits(max_age=3600.0), concurrency=2, dedup=dedup)
        return run([source], routes, limits, RetryPolicy(0.001, 2, 0.002, budget=budget), **options)

    return start_one


def redeliver(source: FakeSource, *bodies: bytes) -> None:
    source.deliver(*bodies, attempts=2)


async def test_a_message_is_finished_when_the_last_required_sink_has_it(
    start: Start, source: FakeSource
) -> None:
    may_confirm = asyncio.Event()
    quick, slow = ScriptedSink(), ScriptedSink(confirming(may_confirm))
    pipeline = start(Route(quick, "quick"), Route(slow, "slow"))
    source.deliver(b"a", b"b")
    await eventually_async(lambda: slow.under_way and pipeline.held_messages == 2)
    assert quick.delivered == [b"a", b"b"]
    assert source.origin.finished == []
    may_confirm.set()
    await eventually_async(lambda: source.origin.finished == [b"a", b"b"])
    assert pipeline.counters.finished[STREAM] == 2


async def test_after_a_failure_of_one_the_other_does_not_get_the_message_again(
    start: Start, source: FakeSource
) -> None:
    well, ill = ScriptedSink(), ScriptedSink(*DOWN)
    pipeline = start(Route(well, "well"), Route(ill, "ill"), budget=0.05)
    source.deliver(b"a", b"b")
    await eventually_async(lambda: len(source.origin.requeued) == 2)
    assert source.origin.finished == []
    ill.recover()
    redeliver(source, b"a", b"b")
    await eventually_async(lambda: source.origin.finished == [b"a", b"b"])
    assert well.delivered == ill.delivered == [b"a", b"b"]
    assert pipeline.held_messages == 0


async def test_a_sink_that_confirms_after_the_message_went_back_does_not_get_it_again(
    start: Start, source: FakeSource
) -> None:
    may_confirm = asyncio.Event()
    slow, ill = ScriptedSink(confirming(may_confirm)), ScriptedSink(*DOWN)
    pipeline = start(Route(slow, "slow"), Route(ill, "ill"), budget=0.05)
    source.deliver(b"a")
    await eventually_async(lambda: source.origin.requeued)
    may_confirm.set()
    await eventually_async(lambda: pipeline.held_messages == 0)
    ill.recover()
    redeliver(source, b"a")
    await eventually_async(lambda: source.origin.finished == [b"a"])
    assert slow.delivered == ill.delivered == [b"a"]


async def test_a_dead_best_effort_sink_holds_nothing_up_and_its_losses_are_counted(
    start: Start, source: FakeSource
) -> None:
    well, ill = ScriptedSink(), ScriptedSink(*DOWN)
    pipeline = start(Route(well, "well"), Route(ill, "ill", required=False), budget=1.0)
    for number in range(20):
        source.deliver(b"%d" % number)
    await eventually_async(lambda: len(source.origin.finished) == 20)
    assert len(well.delivered) == 20
    assert source.origin.requeued == []
    assert pipeline.trouble is None
    assert not source.paused
    lost = pipeline.branches[1].counters.dropped
    await eventually_async(lambda: lost["failed"] == 20)
    assert pipeline.held_messages == 0


async def test_a_slow_best_effort_sink_keeps_at_most_its_bytes_and_the_rest_is_counted(
    start: Start, source: FakeSource
) -> None:
    well, slow = ScriptedSink(), ScriptedSink(*[hang] * 100)
    pipeline = start(Route(well, "well"), Route(slow, "slow", required=False, max_bytes=100))
    for _ in range(50):
        source.deliver(b"x" * 19)
    await eventually_async(lambda: len(source.origin.finished) == 50)
    behind = pipeline.branches[1]
    assert behind.held_bytes == 100
    assert behind.counters.dropped["full"] == 45
    await pipeline.drain(0.02)
    assert behind.counters.dropped["drain"] == 5


async def test_a_best_effort_sink_that_refuses_or_is_gone_is_counted(
    start: Start, source: FakeSource
) -> None:
    well = ScriptedSink()
    fussy = ScriptedSink(Outcome(Fate.REJECTED, "HTTP 400"))
    gone = ScriptedSink(SinkGone("stdout was closed"))
    pipeline = start(
        Route(well, "well"), Route(fussy, "fussy", required=False), Route(gone, "gone", required=False)
    )
    source.deliver(b"a")
    await eventually_async(lambda: gone.tried and fussy.tried)
    source.deliver(b"b")
    await eventually_async(lambda: len(source.origin.finished) == 2)
    assert pipeline.branches[1].counters.dropped == {"rejected": 1}
    await asyncio.wait_for(pipeline.drain(3600.0), 30)
    dropped = pipeline.branches[2].counters.dropped
    assert dropped["failed"] + dropped["drain"] == 2  # b may come before or after the loss is noticed


async def test_what_is_not_routed_to_a_lost_sink_is_not_told_as_dropped(
    start: Start, source: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    well, gone = ScriptedSink(), ScriptedSink(SinkGone("stdout was closed"))
    start(Route(well, "one"), Route(gone, "extra", required=False), transforms=Router())
    source.deliver(b"extra")
    await eventually_async(lambda: gone.tried)
    for _ in range(3):
        source.deliver(b"one")
    await eventually_async(lambda: len(well.delivered) == 3)
    assert "events are dropped" not in caplog.text


def test_at_least_one_sink_must_be_required(source: FakeSource) -> None:
    with pytest.raises(ConfigError, match="no sink is required"):
        Pipeline([source], [Route(ScriptedSink(), required=False)], PipelineLimits(), RetryPolicy())


async def test_with_dedup_a_message_that_comes_again_is_finished_and_not_sent(
    start: Start, source: FakeSource
) -> None:
    pipeline = start(Route(sink := ScriptedSink()), dedup=10)
    source.deliver(b"a", b"b")
    await eventually_async(lambda: len(source.origin.finished) == 2)
    redeliver(source, b"a", b"b", b"c")
    await eventually_async(lambda: len(source.origin.finished) == 5)
    assert sink.delivered == [b"a", b"b", b"c"]
    assert pipeline.counters.duplicates[STREAM] == 2


async def test_without_dedup_nothing_is_remembered(start: Start, source: FakeSource) -> None:
    start(Route(sink := ScriptedSink()))
    source.deliver(b"a")
    await eventually_async(lambda: source.origin.finished)
    redeliver(source, b"a")
    await eventually_async(lambda: sink.delivered == [b"a", b"a"])


async def test_with_dedup_a_second_delivery_of_what_is_under_way_is_not_sent(
    start: Start, source: FakeSource
) -> None:
    fail_once = Outcome(Fate.RETRY, "down")
    start(Route(sink := ScriptedSink(fail_once, fail_once)), dedup=10)
    source.deliver(b"a")
    await eventually_async(lambda: sink.tried)
    redeliver(source, b"a")
    await eventually_async(lambda: source.origin.finished == [b"a", b"a"])
    assert sink.delivered == [b"a"]


class Router:
    """Sends bodies to the sink they name; `drop` and `bad` are what they say."""

    def apply(self, message: Message) -> Event | Dropped | Rejected:
        if message.body == b"drop":
            return Dropped("filter")
        if message.body == b"bad":
            return Rejected("no JSON", "json")
        return Event(message, b"<" + message.body + b">", None, tuple(message.body.decode().split("+")))


async def test_transforms_change_drop_and_route(
    start: Start, source: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    one, two, extra = ScriptedSink(), ScriptedSink(), ScriptedSink()
    pipeline = start(
        Route(one, "one"), Route(two, "two"), Route(extra, "extra", required=False), transforms=Router()
    )
    source.deliver(b"one", b"two", b"one+two", b"extra", b"drop", b"bad")
    await eventually_async(lambda: len(source.origin.finished) == 5)
    assert one.delivered == [b"<one>", b"<one+two>"]
    assert two.delivered == [b"<two>", b"<one+two>"]
    await eventually_async(lambda: extra.delivered == [b"<extra>"])
    assert sorted(source.origin.finished) == [b"drop", b"extra", b"one", b"one+two", b"two"]
    assert [body for body, _ in source.origin.requeued] == [b"bad"]  # there is no place for dead letters
    assert (
        "1 messages are refused by json and go back to nsqd, as there is no dead_letter: no JSON"
        in caplog.text
    )
    assert pipeline.counters.filtered == {(STREAM, "filter"): 1}
    assert pipeline.counters.requeued[STREAM, "rejected"] == 1
    assert pipeline.counters.duplicates[STREAM] == 0
