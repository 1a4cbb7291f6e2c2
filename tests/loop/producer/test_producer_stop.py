"""Stopping a producer: who is waited for, and what the others are told."""

from __future__ import annotations

import asyncio

import pytest

from harness.producing import outcomes, producer_of
from harness.scripted import OK, ScriptedNsqd
from nsqgw.errors import Closed, ConnectionClosed, NotConnected


async def test_stop_waits_for_the_answers(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    producer = producer_of(fake)
    await producer.start()
    await producer.wait_connected(5)
    futures = [producer.publish_soon("t", b"x") for _ in range(3)]
    session = await fake.session()
    await session.received("PUB", 3)
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    with pytest.raises(Closed):
        await producer.publish("t", b"y")
    session.send(OK * 3)
    await asyncio.wait_for(stopping, 5)
    await asyncio.gather(*futures)
    await session.end()


async def test_stop_with_a_deadline_fails_what_has_no_answer(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    producer = producer_of(fake, max_outstanding=2)
    await producer.start()
    await producer.wait_connected(5)
    futures = [producer.publish_soon("t", b"x") for _ in range(4)]
    await (await fake.session()).received("PUB", 2)
    await asyncio.wait_for(producer.stop(0.05), 5)
    await asyncio.wait(futures, timeout=5)
    assert outcomes(futures) == [ConnectionClosed, ConnectionClosed, Closed, Closed]
    assert producer.stats.outstanding == 0


async def test_stop_ends_those_that_wait_for_a_connection(fake: ScriptedNsqd) -> None:
    await fake.stop()
    producer = producer_of(fake)
    await producer.start()
    waiting = [producer.publish_soon("t", b"x"), asyncio.ensure_future(producer.wait_connected())]
    await asyncio.sleep(0.01)
    await asyncio.wait_for(producer.stop(0.0), 5)
    done, pending = await asyncio.wait(waiting, timeout=2)
    assert not pending
    assert all(isinstance(future.exception(), NotConnected | Closed) for future in done)
    await fake.start()


async def test_stopping_twice_and_never_started(fake: ScriptedNsqd) -> None:
    producer = producer_of(fake)
    with pytest.raises(Closed, match="not running"):
        await producer.publish("t", b"x")
    await producer.stop()
    await producer.start()
    with pytest.raises(Closed, match="make a new one"):
        await producer.start()
    await producer.wait_connected(5)
    await asyncio.gather(producer.stop(), producer.stop())
    await producer.stop()
    with pytest.raises(Closed):
        await producer.publish_many("t", [b"x"])
    with pytest.raises(Closed):
        await producer.wait_connected(1)
