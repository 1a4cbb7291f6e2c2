"""Messages that nsqd delivers again: none is handled twice for it, none piles up, no loop dies of one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.consuming import Subject
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd
from nsqgw import Message
from nsqgw.consumer.touch import has_expired


async def test_iterating_survives_a_lost_connection(fake: ScriptedNsqd) -> None:
    """The one in hand is answered in vain, those behind it in the inbox are not seen twice."""
    seen: list[bytes] = []
    async with Subject(None, fake) as consumer:
        session = await fake.subscribed()
        session.deliver(1, body=b"in hand")
        session.deliver(2, 3, body=b"never seen")
        async for message in consumer:
            seen.append(message.body)
            if message.body == b"in hand":
                await eventually_async(lambda: consumer.stats.in_flight == 3)
                session.drop()
                again = await fake.subscribed(1)
                assert not await message.finish()
                again.deliver(4, body=b"after")
                continue
            assert await message.finish()
            break
    assert seen == [b"in hand", b"after"]


async def test_queued_messages_of_a_lost_connection_reach_no_handler(fake: ScriptedNsqd) -> None:
    release = asyncio.Event()
    seen: list[bytes] = []

    async def handle(message: Message) -> None:
        seen.append(message.body)
        await release.wait()

    async with Subject(handle, fake, concurrency=1) as consumer:
        session = await fake.subscribed()
        session.deliver(1, body=b"handled")
        session.deliver(2, body=b"queued")
        await eventually_async(lambda: consumer.stats.in_flight == 2)
        session.drop()
        again = await fake.subscribed(1)
        release.set()
        again.deliver(2, body=b"queued, again")
        await again.received("FIN")
    assert seen == [b"handled", b"queued, again"]


@pytest.mark.parametrize("auto_touch", [False, True])
async def test_what_timed_out_does_not_pile_up(fake: ScriptedNsqd, auto_touch: bool) -> None:
    """nsqd sends a message again after its time-out; the copy nobody has looked at makes room for it."""
    fake.features |= {"msg_timeout": 100, "max_msg_timeout": 200}
    options: dict[str, Any] = {"auto_touch": auto_touch, "drain_timeout": 0.05}
    async with Subject(None, fake, **options) as consumer:
        session = await fake.subscribed()
        session.deliver(*range(10))
        await eventually_async(lambda: consumer.stats.in_flight == 10)
        await eventually_async(lambda: consumer.stats.in_flight == 0, what="their time to pass")
        session.deliver(*range(10), attempts=2)
        message = await anext(aiter(consumer))
        assert message.attempts == 2
        assert consumer.stats.in_flight == 10


async def test_a_late_answer_is_sent_all_the_same(fake: ScriptedNsqd) -> None:
    """nsqd may be behind with its scan, and takes it then; otherwise it says so."""
    fake.features |= {"msg_timeout": 100, "max_msg_timeout": 100}
    release = asyncio.Event()

    async def handle(message: Message) -> None:
        await release.wait()

    async with Subject(handle, fake, auto_touch=False) as consumer:
        session = await fake.subscribed()
        session.deliver(1)
        await eventually_async(lambda: consumer.stats.received == 1)
        await eventually_async(lambda: consumer.stats.in_flight == 0)
        release.set()
        await session.received("FIN")
        assert consumer.stats.in_flight == 0


def test_when_nsqd_has_given_up_waiting() -> None:
    assert not has_expired(60.5, 0.0, 0.0, 60.0, 900.0), "the margin has not passed"
    assert has_expired(61.5, 0.0, 0.0, 60.0, 900.0)
    assert not has_expired(61.5, 0.0, 30.0, 60.0, 900.0), "touched meanwhile"
    assert has_expired(901.5, 0.0, 890.0, 60.0, 900.0), "the hard limit"


async def test_batches_may_be_asked_for_with_a_time_limit(fake: ScriptedNsqd) -> None:
    async with Subject(None, fake) as consumer:
        session = await fake.subscribed()
        batches = consumer.batches(max_messages=2, max_wait=60.0)
        session.deliver(1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(batches), 0.1)
        session.deliver(2)
        batch = await asyncio.wait_for(anext(batches), 10)
        assert [message.id for message in batch] == [b"%016x" % 1, b"%016x" % 2]
        batch.finish()
