"""A sink that may be sent so much in a second, and no more."""

from __future__ import annotations

import asyncio

import pytest

from gateways.pipeline.delivery import DeliveryLimits
from gateways.pipeline.rate import RateLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import Fate, Outcome
from harness.pipeline import RecordingOrigin, ScriptedSink, WatchedDelivery, make_batch
from harness.polling import eventually_async

QUICK = RetryPolicy(initial=0.001, cap=0.002)


def limited(sink: ScriptedSink, rate: RateLimits, policy: RetryPolicy = QUICK) -> WatchedDelivery:
    return WatchedDelivery(sink, policy, DeliveryLimits(4, 4, rate=rate))


async def settled(delivery: WatchedDelivery) -> None:
    await asyncio.wait_for(delivery.wait_empty(), 10)


@pytest.mark.parametrize(
    "rate",
    [RateLimits(events=20), RateLimits(bytes=40), RateLimits(requests=10)],
    ids=["events", "bytes", "requests"],
)
async def test_batches_wait_for_the_rate_in_their_order(rate: RateLimits) -> None:
    origin, sink = RecordingOrigin(), ScriptedSink()
    delivery, now = limited(sink, rate), asyncio.get_running_loop().time()
    for number in range(14):
        delivery.submit(make_batch([b"%x" % number, b"%x" % number], origin, born=now))
    await settled(delivery)
    assert sink.tried == [[b"%x" % number] * 2 for number in range(14)]
    # The first second's worth and one more go at once, the last one three tries' worth later.
    assert sink.tried_at[13] - sink.tried_at[0] >= 0.199
    assert len(origin.finished) == 28
    await delivery.close()


async def test_tries_again_count_too() -> None:
    origin, sink = RecordingOrigin(), ScriptedSink(*[Outcome(Fate.RETRY, "busy")] * 3)
    delivery = limited(sink, RateLimits(events=10))
    delivery.submit(
        make_batch([b"%d" % n for n in range(10)], origin, born=asyncio.get_running_loop().time())
    )
    await eventually_async(lambda: len(sink.tried) > 2)
    assert sink.tried_at[2] - sink.tried_at[0] >= 0.99
    await delivery.close()


async def test_what_would_wait_longer_than_its_budget_goes_back() -> None:
    origin, sink = RecordingOrigin(), ScriptedSink()
    delivery = limited(sink, RateLimits(events=1), RetryPolicy(budget=0.05))
    now = asyncio.get_running_loop().time()
    delivery.submit(make_batch([b"%d" % number for number in range(50)], origin, born=now))
    delivery.submit(make_batch([b"late"], origin, born=now))
    await settled(delivery)
    assert len(origin.finished) == 50
    assert [body for body, _ in origin.requeued] == [b"late"]
    await delivery.close()
