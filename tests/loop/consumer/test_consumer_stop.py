"""Stopping in good order (C-CLI-29), and when nothing is in order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.consuming import Subject
from harness.polling import eventually_async
from harness.scripted import HEARTBEAT, ScriptedNsqd, message_id
from nsqgw import Message
from nsqgw.errors import Closed
from nsqgw.instrument import ConnectFailed, Disconnected


def nothing(message: Message) -> None:
    pass


class Gate:
    """An async handler that waits until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun: list[Message] = []
        self.cancelled = 0

    async def __call__(self, message: Message) -> None:
        self.begun.append(message)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def test_c_cli_29_cls_then_the_answers_then_the_end(fake: ScriptedNsqd) -> None:
    gate = Gate()
    consumer = Subject(gate, fake, concurrency=2)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1, 2, 3, 4)
    await eventually_async(lambda: len(gate.begun) == 2)
    stopping = asyncio.ensure_future(consumer.stop())
    await session.seen("CLS")
    # What no handler has seen goes back at once.
    assert await session.received("REQ", 2) == [f"REQ {number:016x} 0" for number in (3, 4)]
    assert session.lines("FIN") == []
    session.send(HEARTBEAT)
    await session.received("NOP")
    assert not stopping.done()
    gate.open.set()
    await stopping
    await session.end()
    assert session.ids("FIN") == [1, 2]
    assert session.lines("CLS") == ["CLS"]
    assert len(fake.sessions) == 1
    assert consumer.stats.in_flight == 0
    assert [fact.error for fact in consumer.told(Disconnected)] == [None]


async def test_no_rdy_after_cls(fake: ScriptedNsqd) -> None:
    """Failures, successes, a lost connection and the rotation change nothing any more."""
    gate = Gate()

    async def handle(message: Message) -> None:
        await gate(message)
        raise RuntimeError("failed while stopping")

    async with ScriptedNsqd() as other:
        options = {"backoff_multiplier": 0.001, "rdy_redistribute_interval": 0.01, "max_in_flight": 10}
        consumer = Subject(handle, fake, other, **options)
        await consumer.start()
        session, second = await fake.subscribed(), await other.subscribed()
        session.deliver(1, 2)
        await eventually_async(lambda: len(gate.begun) == 2)
        stopping = asyncio.ensure_future(consumer.stop())
        await session.seen("CLS")
        second.drop()
        await eventually_async(lambda: len(consumer.told(Disconnected)) == 1)
        gate.open.set()
        await stopping
        await session.end()
        after = session.commands[session.commands.index("CLS") :]
        assert [line.split(" ")[0] for line in after] == ["CLS", "REQ", "REQ"]


async def test_messages_that_cross_cls_go_back(fake: ScriptedNsqd) -> None:
    gate = Gate()
    consumer = Subject(gate, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1)
    await eventually_async(lambda: gate.begun)
    stopping = asyncio.ensure_future(consumer.stop())
    await session.seen("CLS")
    session.deliver(2)
    await session.received("REQ")
    gate.open.set()
    await stopping
    assert session.ids("REQ") == [2]
    assert session.ids("FIN") == [1]
    assert len(gate.begun) == 1


async def test_a_hanging_handler_is_waited_for_only_so_long(fake: ScriptedNsqd) -> None:
    gate = Gate()
    consumer = Subject(gate, fake, backoff_multiplier=30.0)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1, 2)
    await eventually_async(lambda: len(gate.begun) == 2)
    await asyncio.wait_for(consumer.stop(0.05), 5)
    await session.end()
    assert session.lines("REQ") == [f"REQ {number:016x} 0" for number in (1, 2)]
    assert gate.cancelled == 2
    assert len(session.lines("RDY")) == 1


async def test_the_drain_time_out_is_the_default(fake: ScriptedNsqd) -> None:
    gate = Gate()
    async with Subject(gate, fake, drain_timeout=0.05):
        session = await fake.subscribed()
        session.deliver(1)
        await eventually_async(lambda: gate.begun)
    assert session.ids("REQ") == [1]


async def test_slow_messages_are_touched_while_stopping(fake: ScriptedNsqd) -> None:
    fake.features |= {"msg_timeout": 200, "max_msg_timeout": 60_000}
    gate = Gate()
    consumer = Subject(gate, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1)
    await eventually_async(lambda: gate.begun)
    stopping = asyncio.ensure_future(consumer.stop())
    await session.seen("CLS")
    touched = len(session.lines("TOUCH"))
    await session.received("TOUCH", touched + 2)
    gate.open.set()
    await stopping


async def test_a_connection_lost_while_stopping(fake: ScriptedNsqd) -> None:
    gate = Gate()
    consumer = Subject(gate, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1)
    await eventually_async(lambda: gate.begun)
    stopping = asyncio.ensure_future(consumer.stop())
    await session.seen("CLS")
    session.drop()
    await asyncio.wait_for(stopping, 5)
    assert len(fake.sessions) == 1


async def test_an_nsqd_that_reads_no_more_does_not_hold_up_the_end(fake: ScriptedNsqd) -> None:
    consumer = Subject(nothing, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.stop_reading()
    await asyncio.wait_for(consumer.stop(), 5)


async def test_stopping_while_nothing_answers() -> None:
    async with ScriptedNsqd(answers={"IDENTIFY": None}) as mute, ScriptedNsqd(answers={"SUB": None}) as half:
        consumer = Subject(nothing, mute, half, "127.0.0.1:1")
        await consumer.start()
        await (await mute.session()).received("IDENTIFY")
        await (await half.session()).received("SUB")
        await eventually_async(lambda: consumer.told(ConnectFailed))
        await asyncio.wait_for(consumer.stop(), 5)
        await (await mute.session()).end()
        await (await half.session()).end()


async def test_stopping_twice_waits_for_the_same_end(fake: ScriptedNsqd) -> None:
    gate = Gate()
    consumer = Subject(gate, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1)
    await eventually_async(lambda: gate.begun)
    both = [asyncio.ensure_future(consumer.stop()) for _ in range(2)]
    closed = asyncio.ensure_future(consumer.wait_closed())
    await session.seen("CLS")
    assert not any(task.done() for task in [*both, closed])
    gate.open.set()
    await asyncio.gather(*both, closed)
    await consumer.stop()
    assert session.lines("CLS") == ["CLS"]


async def test_a_cancelled_stop_still_closes_everything(fake: ScriptedNsqd) -> None:
    gate = Gate()
    consumer = Subject(gate, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1)
    await eventually_async(lambda: gate.begun)
    stopping = asyncio.ensure_future(consumer.stop())
    await session.seen("CLS")
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await session.end()
    await consumer.wait_closed()
    assert gate.cancelled == 1


async def test_a_handler_may_stop_its_own_consumer(fake: ScriptedNsqd) -> None:
    async def handle(message: Message) -> None:
        message.finish()
        await consumer.stop()

    consumer = Subject(handle, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1)
    await asyncio.wait_for(consumer.wait_closed(), 5)
    await session.end()
    assert session.ids("FIN") == [1]


@pytest.mark.parametrize("kind", ["handler", "batch_handler", "on_giving_up"])
async def test_a_handler_that_stops_its_consumer_is_not_waited_for_by_itself(
    fake: ScriptedNsqd, kind: str
) -> None:
    """Its message is unanswered until it returns: it goes on at once, and the stop waits for it."""

    async def handle(given: Any) -> None:
        await consumer.stop()
        await consumer.stop()

    options: dict[str, Any] = {"handler": handle} if kind == "handler" else {"handler": None, kind: handle}
    if kind == "on_giving_up":
        options |= {"handler": nothing, "max_attempts": 1}
    consumer = Subject(options.pop("handler"), fake, drain_timeout=100.0, **options)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1, attempts=2)
    await asyncio.wait_for(consumer.wait_closed(), 10)
    await session.end()
    assert session.ids("FIN") == [1]


async def test_a_consumer_that_never_started(fake: ScriptedNsqd) -> None:
    consumer = Subject(nothing, fake)
    with pytest.raises(Closed, match="not running"):
        await consumer.wait_connected(0.1)
    with pytest.raises(Closed, match="not running"):
        await consumer.wait_closed()
    assert consumer.stats.connections == ()
    await consumer.stop()
    await consumer.stop()
    assert consumer.stats.received == 0
    with pytest.raises(Closed):
        await consumer.start()
    with pytest.raises(Closed):
        consumer.pause()


async def test_a_stopped_consumer_keeps_its_figures_and_starts_no_more(fake: ScriptedNsqd) -> None:
    async with Subject(nothing, fake) as consumer:
        session = await fake.subscribed()
        session.deliver(1, 2, 3)
        await session.received("FIN", 3)
    stats = consumer.stats
    assert (stats.received, stats.finished, stats.in_flight, stats.connections) == (3, 3, 0, ())
    with pytest.raises(Closed):
        await consumer.start()


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_nothing_is_left_behind(fake: ScriptedNsqd, asynchronous: bool) -> None:
    before = asyncio.all_tasks()

    async def handle(message: Message) -> None:
        await asyncio.sleep(0)

    handler: Any = handle if asynchronous else nothing
    async with Subject(handler, fake, "127.0.0.1:1"):
        session = await fake.subscribed()
        session.deliver(*range(50))
        await session.received("FIN", 50)
    await session.end()
    await eventually_async(
        lambda: {task for task in asyncio.all_tasks() if "serve" not in repr(task)} <= before
    )
    assert session.ids("FIN") == list(range(50))
    assert message_id(0) == b"0" * 16
