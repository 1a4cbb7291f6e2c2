"""Bounds of what is outstanding, and deadlines; cancelled publishes keep the accounts right."""

from __future__ import annotations

import asyncio

import pytest

from harness.polling import eventually_async
from harness.producing import producer_of
from harness.scripted import OK, ScriptedNsqd
from nsqgw.errors import ConnectionClosed, DeadlineExceeded, PublishError


async def test_outstanding_messages_are_bounded(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, max_outstanding=10) as producer:
        await producer.wait_connected(5)
        futures = [asyncio.ensure_future(producer.publish("t", b"%d" % number)) for number in range(35)]
        session = await fake.session()
        await session.received("PUB", 10)
        for answered in (10, 20, 30):
            session.send(OK * 10)
            await session.received("PUB", min(35, answered + 10))
            assert len(session.lines("PUB")) <= answered + 10
            assert producer.stats.outstanding <= 10
        session.send(OK * 5)
        await asyncio.gather(*futures)
        assert session.bodies[1:] == [b"%d" % number for number in range(35)]


async def test_outstanding_bytes_are_bounded(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, max_outstanding_bytes=100) as producer:
        await producer.wait_connected(5)
        futures = [producer.publish_soon("t", b"x" * 40) for _ in range(4)]
        session = await fake.session()
        await session.received("PUB", 2)
        session.send(OK)
        await session.received("PUB", 3)
        assert not futures[3].done()
        session.send(OK * 2)
        await session.received("PUB", 4)
        session.send(OK)
        await asyncio.gather(*futures)


async def test_a_full_window_ends_with_its_deadline(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, max_outstanding=1) as producer:
        await producer.wait_connected(5)
        first = producer.publish_soon("t", b"x")
        with pytest.raises(PublishError, match=r"not sent within 0\.05 s: 1 publishes are unanswered"):
            await producer.publish("t", b"y", timeout=0.05)
        session = await fake.session()
        session.send(OK)
        await first
        fake.answers["PUB"] = OK
        await producer.publish("t", b"z")
        assert session.bodies[1:] == [b"x", b"z"]


async def test_an_answer_that_does_not_come(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        with pytest.raises(DeadlineExceeded, match=f"{fake.address} did not confirm within"):
            await producer.publish("t", b"x", timeout=0.05)
        assert producer.stats.outstanding == 1
        session = await fake.session()
        session.send(OK)
        await eventually_async(lambda: producer.stats.outstanding == 0)
        assert producer.stats.published == 1


async def test_without_a_deadline_of_its_own_the_connection_ends(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, publish_timeout=0.1) as producer:
        await producer.wait_connected(5)
        with pytest.raises(ConnectionClosed, match="did not answer a command within"):
            await producer.publish("t", b"x")


async def test_cancelled_publishes_keep_the_accounts_right(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, max_outstanding=4) as producer:
        await producer.wait_connected(5)
        tasks = [asyncio.ensure_future(producer.publish("t", b"%d" % number)) for number in range(8)]
        session = await fake.session()
        await session.received("PUB", 4)
        for number in (0, 3, 5, 7):  # two on the wire, two waiting for room
            tasks[number].cancel()
        await asyncio.sleep(0)
        session.send(OK * 4)
        await session.received("PUB", 6)
        session.send(OK * 2)
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert [number for number, result in enumerate(done) if result is None] == [1, 2, 4, 6]
        assert session.bodies[1:] == [b"0", b"1", b"2", b"3", b"4", b"6"]
        await eventually_async(lambda: producer.stats.outstanding == 0)
        assert producer.stats.published == 6


async def test_cancelled_in_the_turn_of_the_answer(fake: ScriptedNsqd) -> None:
    """A publish with a time-out of its own: the cancellation is not swallowed by the answer."""
    fake.answers["PUB"] = None
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        publishing = asyncio.ensure_future(producer.publish("t", b"x", timeout=5.0))
        await (await fake.session()).received("PUB")
        assert producer._pool is not None
        producer._pool._alive[0]._replies.confirm(1)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        assert producer.stats.outstanding == 0
