"""The rules of delivery against a sink that fails in every way: what is finished, what given back, when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest

from gateways.pipeline.batch import Batch
from gateways.pipeline.delivery import DeliveryLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome, SinkGone
from harness.pipeline import RecordingOrigin, ScriptedSink, WatchedDelivery, confirming, hang, make_batch
from harness.polling import eventually_async

QUICK = RetryPolicy(initial=0.001, cap=0.002)
STREAM = ("events", "archive")


Start = Callable[..., WatchedDelivery]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a delivery to the sink given, with quick retries."""
    running: list[WatchedDelivery] = []

    def start_one(
        sink: ScriptedSink, policy: RetryPolicy = QUICK, concurrency: int = 1, send_timeout: float = 0.05
    ) -> WatchedDelivery:
        delivery = WatchedDelivery(sink, policy, DeliveryLimits(concurrency, concurrency, send_timeout))
        running.append(delivery)
        return delivery

    yield start_one
    for delivery in running:
        await delivery.close()


def batch_of(origin: RecordingOrigin, *bodies: bytes) -> Batch:
    return make_batch(bodies, origin, born=asyncio.get_running_loop().time())


async def settled(delivery: WatchedDelivery) -> None:
    await asyncio.wait_for(delivery.wait_empty(), 10)


async def test_messages_are_finished_once_the_sink_confirms_and_not_before(start: Start) -> None:
    origin, may_confirm = RecordingOrigin(), asyncio.Event()
    delivery = start(sink := ScriptedSink(confirming(may_confirm)))
    delivery.submit(batch_of(origin, b"a", b"b"))
    await eventually_async(lambda: sink.tried)
    assert origin.finished == []
    may_confirm.set()
    await settled(delivery)
    assert origin.finished == [b"a", b"b"]
    assert (delivery.held_messages, delivery.held_bytes) == (0, 0)


@pytest.mark.parametrize(
    "failure",
    [
        Outcome(Fate.RETRY, "busy"),
        Outcome(Fate.BLOCKED, "HTTP 403"),
        Outcome(Fate.RETRY, "wrong count", per_event=[Fate.CONFIRMED]),
        RuntimeError("a mistake in the sink"),
        hang,
    ],
    ids=["retry", "blocked", "wrong-count", "raises", "hangs"],
)
async def test_no_failure_loses_a_message(start: Start, failure: Outcome) -> None:
    origin = RecordingOrigin()
    delivery = start(sink := ScriptedSink(failure, failure))
    batch = batch_of(origin, b"a", b"b")
    delivery.submit(batch)
    await settled(delivery)
    assert sink.delivered == origin.finished == [b"a", b"b"]
    assert origin.requeued == []
    assert len(sink.tried) == 3


async def test_a_refused_batch_is_named_in_the_log_and_as_trouble(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    delivery = start(sink := ScriptedSink(Outcome(Fate.BLOCKED, "HTTP 403 invalid token"), hang))
    with caplog.at_level(logging.INFO):
        delivery.submit(batch_of(RecordingOrigin(), b"a"))
        await eventually_async(lambda: len(sink.tried) >= 2)
        assert delivery.trouble == "scripted sink: HTTP 403 invalid token"
        await settled(delivery)
    assert delivery.trouble is None
    assert "HTTP 403 invalid token; somebody has to mend this" in caplog.text
    assert "delivering again" in caplog.text


async def test_each_event_has_the_fate_that_the_sink_tells(start: Start) -> None:
    origin = RecordingOrigin()
    mixed = Outcome(
        Fate.REJECTED,
        "mixed",
        per_event=[Fate.CONFIRMED, Fate.RETRY, Fate.CONFIRMED, Fate.REJECTED, Fate.BLOCKED],
    )
    delivery = start(sink := ScriptedSink(mixed))
    delivery.submit(batch_of(origin, b"a", b"b", b"c", b"d", b"e"))
    await settled(delivery)
    assert sink.tried == [[b"a", b"b", b"c", b"d", b"e"], [b"b", b"e"]]
    assert origin.finished == [b"a", b"c", b"b", b"e"]
    assert [body for body, _ in origin.requeued] == [b"d"]
    assert (delivery.held_messages, delivery.held_bytes) == (0, 0)
    assert delivery.counters.events_sent == 4


async def test_while_the_endpoint_fails_one_batch_at_a_time_tries_it(start: Start) -> None:
    may_fail = asyncio.Event()
    alone: list[bool] = []
    probe = asyncio.Lock()

    async def fail_together(batch: Batch) -> Outcome:
        await may_fail.wait()
        return Outcome(Fate.RETRY, "down")

    async def fail_alone(batch: Batch) -> Outcome:
        alone.append(not probe.locked())
        async with probe:
            await asyncio.sleep(0.001)
        return Outcome(Fate.RETRY, "down")

    delivery = start(sink := ScriptedSink(*[fail_together] * 4, *[fail_alone] * 5), concurrency=4)
    origin = RecordingOrigin()
    for number in range(4):
        delivery.submit(batch_of(origin, b"%d" % number))
    await eventually_async(lambda: sink.under_way == 4)
    may_fail.set()
    await settled(delivery)
    assert alone == [True] * 5
    assert sorted(origin.finished) == [b"0", b"1", b"2", b"3"]


async def test_retry_after_is_kept_by_all_batches(start: Start) -> None:
    sink = ScriptedSink(Outcome(Fate.RETRY, "HTTP 429", retry_after=0.3))
    delivery = start(sink, concurrency=3)
    delivery.submit(batch_of(RecordingOrigin(), b"first"))
    await eventually_async(lambda: delivery.trouble)
    for _ in range(3):
        delivery.submit(batch_of(RecordingOrigin(), b"later"))
    await settled(delivery)
    assert len(sink.tried) == 5
    assert sink.tried_at[1] - sink.tried_at[0] >= 0.299


async def test_after_the_budget_messages_go_back_with_a_delay(start: Start) -> None:
    origin = RecordingOrigin()
    delivery = start(
        ScriptedSink(*[Outcome(Fate.RETRY, "down")] * 10_000), RetryPolicy(0.001, 2, 0.002, budget=0.05)
    )
    delivery.submit(batch_of(origin, b"a", b"b"))
    await settled(delivery)
    assert origin.finished == []
    assert [body for body, _ in origin.requeued] == [b"a", b"b"]
    assert all(delay is not None and 15 <= delay <= 30 for _, delay in origin.requeued)
    assert not delivery.gone


async def test_a_retry_after_beyond_the_budget_does_not_hold_messages_longer(start: Start) -> None:
    origin = RecordingOrigin()
    policy = RetryPolicy(budget=0.05)
    delivery = start(ScriptedSink(Outcome(Fate.RETRY, "HTTP 503", retry_after=300.0)), policy)
    delivery.submit(batch_of(origin, b"a"))
    delivery.submit(batch_of(origin, b"b"))
    await settled(delivery)
    assert [body for body, _ in origin.requeued] == [b"a", b"b"]


async def test_stop_gives_back_at_once_what_is_not_confirmed(start: Start) -> None:
    origin = RecordingOrigin()
    delivery = start(sink := ScriptedSink(CONFIRMED, hang, hang))
    for body in (b"done", b"sending", b"waiting"):
        delivery.submit(batch_of(origin, body))
    await eventually_async(lambda: len(sink.tried) == 2)
    await delivery.close()
    assert origin.finished == [b"done"]
    assert origin.requeued == [(b"sending", 0.0), (b"waiting", 0.0)]


@pytest.mark.parametrize("turns", range(4))
async def test_a_stop_next_to_the_answer_ends_the_workers(start: Start, turns: int) -> None:
    origin, answer = RecordingOrigin(), asyncio.get_running_loop().create_future()
    delivery = start(sink := ScriptedSink(lambda batch: answer), send_timeout=10.0)
    delivery.submit(batch_of(origin, b"sent"))
    delivery.submit(batch_of(origin, b"waiting"))
    await eventually_async(lambda: sink.tried)
    answer.set_result(CONFIRMED)
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.wait_for(delivery.close(), 10)
    answered = origin.finished + [body for body, _ in origin.requeued]
    assert sorted(answered) == [b"sent", b"waiting"]


async def test_a_sink_that_is_gone_is_told_of_and_finishes_nothing(start: Start) -> None:
    origin = RecordingOrigin()
    delivery = start(ScriptedSink(SinkGone("stdout was closed")))
    delivery.submit(batch_of(origin, b"a"))
    await eventually_async(lambda: delivery.gone)
    assert isinstance(delivery.gone[0], SinkGone)
    await delivery.close()
    assert origin.finished == []
    assert origin.requeued == [(b"a", 0.0)]


async def test_answers_for_a_lost_connection_are_counted_as_late(start: Start) -> None:
    origin = RecordingOrigin()
    origin.closed = True
    delivery = start(ScriptedSink())
    delivery.submit(batch_of(origin, b"a", b"b"))
    await settled(delivery)
    assert delivery.totals.late[STREAM] == 2
    assert delivery.totals.finished[STREAM] == 0
    assert delivery.counters.events_sent == 2
