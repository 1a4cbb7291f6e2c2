"""Bad events that were published one after the other, among good ones."""

from __future__ import annotations

import asyncio

from gateways.pipeline.batch import Batch
from gateways.pipeline.delivery import DeliveryLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from harness.pipeline import ScriptedSink, WatchedDelivery, make_batch


async def test_a_run_of_bad_events_behind_good_ones_holds_nothing_up() -> None:
    bad = {b"%d" % number for number in range(60, 80)}

    def refuse(batch: Batch) -> Outcome:
        return Outcome(Fate.REJECTED, "HTTP 400") if bad.intersection(batch.events) else CONFIRMED

    sink = ScriptedSink(*[refuse] * 200)
    delivery = WatchedDelivery(sink, RetryPolicy(0.001, 2, 0.002), DeliveryLimits(1, 1))
    bodies = [b"%d" % number for number in range(100)]
    delivery.submit(make_batch(bodies, born=asyncio.get_running_loop().time()))
    await asyncio.wait_for(delivery.wait_empty(), 10)
    assert delivery.totals.requeued[("events", "archive"), "rejected"] == len(bad)
    assert sorted(sink.delivered) == sorted(set(bodies) - bad)
    assert delivery.trouble is None
    assert not delivery.circuit.is_open
    await delivery.close()
