"""Tries of which nobody knows the end: counted, since their events may be there twice."""

from __future__ import annotations

import asyncio

import pytest

from gateways.pipeline.delivery import DeliveryLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from harness.pipeline import ScriptedSink, Step, WatchedDelivery, hang, make_batch

CUT = Outcome(Fate.RETRY, "connection lost", unsure=True)
PARTLY = Outcome(Fate.RETRY, "connection lost", per_event=[Fate.CONFIRMED, Fate.RETRY], unsure=True)


@pytest.mark.parametrize(
    ("step", "count"),
    [(hang, 2), (CUT, 2), (PARTLY, 1), (Outcome(Fate.RETRY, "HTTP 503"), 0), (CONFIRMED, 0)],
)
async def test_events_that_may_be_there_twice_are_counted(step: Step, count: int) -> None:
    limits = DeliveryLimits(1, 1, send_timeout=0.05)
    delivery = WatchedDelivery(ScriptedSink(step), RetryPolicy(0.001, 2, 0.002), limits)
    delivery.submit(make_batch([b"a", b"b"], born=asyncio.get_running_loop().time()))
    await asyncio.wait_for(delivery.wait_empty(), 10)
    assert delivery.counters.maybe_duplicates == count
    await delivery.close()


async def test_events_that_the_sink_had_already_are_counted() -> None:
    there = [
        Outcome(Fate.CONFIRMED, duplicates=2),
        Outcome(Fate.CONFIRMED, per_event=[Fate.CONFIRMED], duplicates=1),
    ]
    delivery = WatchedDelivery(ScriptedSink(*there), RetryPolicy(), DeliveryLimits(1, 1))
    delivery.submit(make_batch([b"a", b"b"], born=asyncio.get_running_loop().time()))
    delivery.submit(make_batch([b"c"], born=asyncio.get_running_loop().time()))
    await asyncio.wait_for(delivery.wait_empty(), 10)
    assert (delivery.counters.duplicates, delivery.counters.events_sent) == (3, 3)
    await delivery.close()
