"""`async for` and batches: by count, bytes and age, and no message lost on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.consuming import Subject
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd
from nsqgw import Batch, Message
from nsqgw.consumer.batches import Batches
from nsqgw.consumer.inbox import Inbox
from nsqgw.errors import ConfigError
from nsqgw.instrument import Disconnected


def make(number: int, size: int = 4) -> Message:
    return Message(0, 1, b"%016x" % number, b"x" * size, None)  # type: ignore[arg-type]


def numbers(batch: Any) -> list[int]:
    return [int(message.id, 16) for message in batch]


def never() -> bool:
    return False


# -- with a scripted nsqd


async def test_messages_one_by_one(fake: ScriptedNsqd) -> None:
    async with Subject(None, fake) as consumer:
        session = await fake.subscribed()
        session.deliver(1, 2, 3)
        seen = []
        async for message in consumer:
            seen.append(message)
            await message.finish()
            if len(seen) == 3:
                break
        assert numbers(seen) == [1, 2, 3]
        await session.received("FIN", 3)


async def test_the_loop_ends_with_the_consumer_and_unseen_messages_go_back(fake: ScriptedNsqd) -> None:
    consumer = Subject(None, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1, 2, 3)
    seen = []
    async for message in consumer:
        seen.append(message)
        if len(seen) == 1:
            stopping = asyncio.ensure_future(consumer.stop())
            await session.received("REQ", 2)
        message.finish()
    await stopping
    assert numbers(seen) == [1]
    assert session.ids("REQ") == [2, 3]
    assert session.ids("FIN") == [1]


async def test_a_body_that_fails_does_not_wait_for_itself(fake: ScriptedNsqd) -> None:

    async def consume() -> None:
        async with Subject(None, fake, drain_timeout=60.0) as consumer:
            (await fake.subscribed()).deliver(1, 2)
            async for _ in consumer:
                raise RuntimeError("failed")

    with pytest.raises(RuntimeError, match="failed"):
        await asyncio.wait_for(consume(), 10)
    session = await fake.session()
    await session.end()
    assert sorted(session.ids("REQ")) == [1, 2]


async def test_batches_over_all_connections(fake: ScriptedNsqd) -> None:
    async with ScriptedNsqd() as other, Subject(None, fake, other, max_in_flight=100) as consumer:
        sessions = [await fake.subscribed(), await other.subscribed()]
        sessions[0].deliver(1, 2)
        sessions[1].deliver(3)
        batch = await anext(aiter(consumer.batches(max_messages=3, max_wait=60.0)))
        assert sorted(numbers(batch)) == [1, 2, 3]
        batch.finish()
        await sessions[0].received("FIN", 2)
        await sessions[1].received("FIN", 1)


async def test_a_starved_consumer_does_not_wait_for_more(fake: ScriptedNsqd) -> None:
    """All that max_in_flight allows is there: waiting for a fuller batch would be in vain."""
    async with Subject(None, fake, max_in_flight=5) as consumer:
        session = await fake.subscribed()
        batches = consumer.batches(max_messages=100, max_wait=600.0)
        for start in (0, 10):
            session.deliver(*range(start, start + 5))
            batch = await asyncio.wait_for(anext(batches), 5)  # type: ignore[arg-type]
            assert numbers(batch) == list(range(start, start + 5))
            batch.finish()


async def test_a_batch_ends_when_the_consumer_stops(fake: ScriptedNsqd) -> None:
    consumer = Subject(None, fake, max_in_flight=100)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1, 2)
    taken: list[Batch] = []

    async def take() -> None:
        async for batch in consumer.batches(max_wait=600.0):
            taken.append(batch)
            batch.finish()

    taking = asyncio.ensure_future(take())
    await eventually_async(lambda: consumer.stats.in_flight == 2)
    await asyncio.sleep(0)
    await asyncio.wait_for(consumer.stop(5.0), 10)
    await taking
    answered = session.ids("FIN") + session.ids("REQ")
    assert sorted(answered) == [1, 2]


async def test_a_cancelled_batch_loop_loses_nothing(fake: ScriptedNsqd) -> None:
    async with Subject(None, fake, max_in_flight=100) as consumer:
        session = await fake.subscribed()
        session.deliver(1, 2, 3)
        waiting = asyncio.ensure_future(anext(consumer.batches(max_messages=10, max_wait=600.0)))  # type: ignore[arg-type]
        await eventually_async(lambda: consumer.stats.in_flight == 3)
        inbox = consumer._handover.inbox
        await eventually_async(lambda: inbox is not None and inbox._waiting)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        session.deliver(4)
        batch = await anext(aiter(consumer.batches(max_messages=4, max_wait=600.0)))
        assert numbers(batch) == [1, 2, 3, 4]
        batch.finish()


async def test_batches_cannot_have_senseless_bounds(fake: ScriptedNsqd) -> None:
    async with Subject(None, fake) as consumer:
        for wrong in ({"max_messages": 0}, {"max_bytes": 0}, {"max_wait": -1.0}):
            with pytest.raises(ConfigError, match=next(iter(wrong))):
                consumer.batches(**wrong)  # type: ignore[arg-type]


async def test_with_a_handler_there_is_nothing_to_iterate_over(fake: ScriptedNsqd) -> None:
    async with Subject(lambda message: None, fake) as consumer:
        with pytest.raises(ConfigError, match="leave it out to iterate"):
            consumer.batches()
        with pytest.raises(ConfigError, match="leave it out to iterate"):
            async for _ in consumer:
                pass


# -- the inbox and the batches alone


async def test_batches_by_count() -> None:
    inbox = Inbox()
    inbox.dispatch([make(number) for number in range(7)])
    batches = Batches(inbox, 3, 10**6, 0.0, never)
    assert [numbers(await anext(batches)) for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6]]  # type: ignore[arg-type]


async def test_batches_by_bytes() -> None:
    inbox = Inbox()
    inbox.dispatch([make(number, size) for number, size in enumerate([4, 4, 4, 50, 1, 9])])
    batches = Batches(inbox, 100, 10, 0.0, never)
    assert [numbers(await anext(batches)) for _ in range(4)] == [[0, 1], [2], [3], [4, 5]]  # type: ignore[arg-type]


async def test_batches_by_age() -> None:
    inbox = Inbox()
    inbox.dispatch([make(1)])
    waiting = asyncio.ensure_future(anext(Batches(inbox, 100, 10**6, 0.05, never)))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    inbox.dispatch([make(2)])
    assert numbers(await waiting) == [1, 2]


async def test_a_closing_inbox_gives_the_partial_batch() -> None:
    inbox = Inbox()
    inbox.dispatch([make(1)])
    batches = Batches(inbox, 100, 10**6, 600.0, never)
    waiting = asyncio.ensure_future(anext(batches))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert inbox.take_unhandled() == []
    assert numbers(await waiting) == [1]
    with pytest.raises(StopAsyncIteration):
        await anext(batches)


async def test_cancelled_in_the_turn_of_an_arrival() -> None:
    inbox = Inbox()
    inbox.dispatch([make(1)])
    waiting = asyncio.ensure_future(anext(Batches(inbox, 100, 10**6, 600.0, never)))  # type: ignore[arg-type]
    await eventually_async(lambda: inbox._waiting)
    inbox.dispatch([make(2)])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert numbers(inbox.take_unhandled()) == [1, 2]


async def test_readers_share_and_none_is_forgotten() -> None:
    inbox = Inbox()
    readers = [asyncio.ensure_future(inbox.get()) for _ in range(5)]
    await asyncio.sleep(0)
    inbox.dispatch([make(number) for number in range(3)])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    got = [reader.result() for reader in readers if reader.done()]
    assert numbers(got) == [0, 1, 2]
    inbox.take_unhandled()
    assert [await reader for reader in readers[3:]] == [None, None]


async def test_a_reader_cancelled_when_woken_passes_the_message_on() -> None:
    inbox = Inbox()
    first, second = (asyncio.ensure_future(inbox.get()) for _ in range(2))
    await asyncio.sleep(0)
    inbox.dispatch([make(1)])
    first.cancel()
    message = await asyncio.wait_for(second, 5)
    assert message is not None
    assert numbers([message]) == [1]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_reader_that_waits_and_is_cancelled_leaves_no_trace() -> None:
    inbox = Inbox()
    reader = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    inbox.dispatch([make(1)])
    assert len(inbox) == 1
    message = await asyncio.wait_for(inbox.get(), 5)
    assert message is not None


async def test_a_batch_over_two_connections_is_finished_as_far_as_it_goes(fake: ScriptedNsqd) -> None:
    async with ScriptedNsqd() as other, Subject(None, fake, other) as consumer:
        first, second = await fake.subscribed(), await other.subscribed()
        first.deliver(1, 2)
        second.deliver(3, 4)
        batch = await anext(consumer.batches(max_messages=4, max_wait=600.0))  # type: ignore[arg-type]
        next(message for message in batch if message.nsqd_address == fake.address).finish()
        second.drop()
        await eventually_async(lambda: consumer.told(Disconnected))
        assert not batch.finish()
        await eventually_async(lambda: sorted(first.ids("FIN")) == [1, 2])
        assert [message.answered for message in batch].count(True) == 2
