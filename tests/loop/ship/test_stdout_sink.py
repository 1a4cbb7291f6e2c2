"""The stdout sink on a pipe: slow readers are waited for, a closed pipe ends it."""

from __future__ import annotations

import asyncio
import os
import select

import pytest

from gateways.pipeline.delivery import DeliveryLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import CONFIRMED, SinkGone
from gateways.ship.sinks.stdout import StdoutSink
from harness.pipeline import RecordingOrigin, WatchedDelivery, make_batch
from harness.polling import eventually_async


async def test_a_closed_pipe_is_the_end() -> None:
    reader, writer = os.pipe()
    sink = StdoutSink(writer)
    await sink.open()
    os.close(reader)
    with pytest.raises(SinkGone, match="stdout was closed by its reader"):
        await sink.send(make_batch([b"a"]))
    await sink.close()
    os.close(writer)


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_slow_reader_is_waited_for_and_does_not_block_the_loop(blocking: bool) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    sink = StdoutSink(writer)
    await sink.open()
    events = [b"%06d" % number * 100 for number in range(1000)]
    sending = asyncio.create_task(sink.send(make_batch(events)))
    received = bytearray()
    while len(received) < sum(map(len, events)) + len(events):
        received += await asyncio.to_thread(os.read, reader, 65536)
    assert await asyncio.wait_for(sending, 10) is CONFIRMED
    assert received.split(b"\n")[:-1] == events
    await sink.close()
    os.close(reader)
    os.close(writer)


async def test_while_the_reader_stands_still_nothing_piles_up_that_is_written_later() -> None:
    reader, writer = os.pipe()
    sink = StdoutSink(writer)
    await sink.open()
    origin = RecordingOrigin()
    policy = RetryPolicy(initial=0.001, cap=0.002, budget=1.0)
    delivery = WatchedDelivery(sink, policy, DeliveryLimits(3, 3, send_timeout=0.02))
    bodies = [b"%d" % number * 200_000 for number in range(6)]  # each of them more than a pipe holds
    for body in bodies:
        delivery.submit(make_batch([body], origin, born=asyncio.get_running_loop().time()))
        await eventually_async(
            lambda: select.select([reader], [], [], 0)[0], what="the first write has begun"
        )
    await asyncio.wait_for(delivery.wait_empty(), 30)
    assert sorted(body for body, _ in origin.requeued) == bodies
    last = asyncio.create_task(sink.send(make_batch([b"the end"])))
    received = bytearray()
    while not received.endswith(b"the end\n"):
        received += await asyncio.to_thread(os.read, reader, 65536)
    assert await last is CONFIRMED
    assert received.split(b"\n") == [bodies[0], b"the end", b""]  # the write under way could not be stopped
    await delivery.close()
    await sink.close()
    os.close(reader)
    os.close(writer)
