"""Handlers that fail in every way there is: what becomes of the message, of the consumer, and of `stop`."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.consuming import Subject
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd
from nsqgw import Message
from nsqgw.consumer import workers
from nsqgw.instrument import HandlerFailed

PROGRAM = """
import asyncio, sys
from nsqgw import Consumer

def fail():
    raise {error}

def sync(message):
    fail()

async def suspending(message):
    await asyncio.sleep(0)
    fail()

async def main():
    async with Consumer("t", "ch", {handler}, nsqd_tcp_addresses=[sys.argv[1]], on_fact=lambda fact: None):
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("handler", ["sync", "suspending"])
@pytest.mark.parametrize(("error", "code"), [("SystemExit(7)", 7), ("KeyboardInterrupt", -2)])
async def test_exit_and_interrupt_end_the_program_and_leave_the_message_unfinished(
    fake: ScriptedNsqd, handler: str, error: str, code: int
) -> None:
    """As in any asyncio program they end `asyncio.run`; `stop` does not wait for the handler that is gone."""
    program = PROGRAM.format(error=error, handler=handler)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, fake.address, stderr=subprocess.PIPE
    )
    try:
        session = await fake.subscribed()
        session.deliver(1)
        _, complaint = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == code, complaint.decode()
    await session.end()
    assert session.lines("FIN") == []


class Stubborn:
    """An async handler that takes its cancellation for a joke."""

    def __init__(self) -> None:
        self.begun = 0
        self.released = asyncio.Event()

    async def __call__(self, message: Message) -> None:
        self.begun += 1
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue


async def test_a_handler_that_swallows_its_cancellation_does_not_hold_up_stop(
    fake: ScriptedNsqd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The message goes back when the drain time-out is over; the handler is left behind, with a warning."""
    monkeypatch.setattr(workers, "_CLOSE_TIMEOUT", 0.1)
    stubborn = Stubborn()
    consumer = Subject(stubborn, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1, 2)
    await eventually_async(lambda: stubborn.begun == 2)
    with caplog.at_level(logging.WARNING, "nsqgw.consumer.workers"):
        await asyncio.wait_for(consumer.stop(0.05), 10)
    assert "2 handler(s) go on 0.1 s after they were cancelled" in caplog.text
    assert session.ids("REQ") == [1, 2]
    stubborn.released.set()
    await eventually_async(lambda: not [task for task in asyncio.all_tasks() if "_work" in repr(task)])
    assert session.lines("FIN") == []


async def test_a_handler_that_cleans_up_is_waited_for(fake: ScriptedNsqd) -> None:
    cleaned: list[int] = []
    begun = asyncio.Event()

    async def handle(message: Message) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)
            cleaned.append(1)

    consumer = Subject(handle, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1)
    await begun.wait()
    await consumer.stop(0.0)
    assert cleaned == [1]
    assert session.ids("REQ") == [1]


async def test_a_handler_that_fails_while_it_is_cancelled_is_told_of(fake: ScriptedNsqd) -> None:
    begun = asyncio.Event()

    async def handle(message: Message) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("could not clean up") from None

    consumer = Subject(handle, fake)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1)
    await begun.wait()
    await consumer.stop(0.0)
    assert [str(fact.error) for fact in consumer.told(HandlerFailed)] == ["could not clean up"]
    assert session.ids("REQ") == [1]


async def test_a_cancelled_handler_gives_back_and_its_worker_goes_on(fake: ScriptedNsqd) -> None:
    """Something in the handler cancels the very task it runs in, which is ours."""

    async def handle(message: Message) -> None:
        if message.body == b"cancel":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)

    async with Subject(handle, fake, concurrency=1, max_backoff_duration=0):
        session = await fake.subscribed()
        session.deliver(1, body=b"cancel")
        session.deliver(2)
        await session.received("FIN")
        assert session.ids("REQ") == [1]
        assert session.ids("FIN") == [2]


def stopping_handlers(stop: Callable[[], Any]) -> dict[str, dict[str, Any]]:
    async def one(message: Message) -> None:
        await stop()

    async def batch(messages: Sequence[Message]) -> None:
        await stop()

    return {"async": {"handler": one}, "async-batch": {"handler": None, "batch_handler": batch}}


@pytest.mark.parametrize("kind", ["async", "async-batch"])
async def test_several_handlers_that_stop_their_consumer_are_let_finish(
    fake: ScriptedNsqd, kind: str
) -> None:
    options = stopping_handlers(lambda: consumer.stop())[kind]
    consumer = Subject(**options, nsqd_tcp_addresses=[fake.address], drain_timeout=100.0)
    await consumer.start()
    session = await fake.subscribed()
    session.deliver(1, 2, 3)
    await asyncio.wait_for(consumer.wait_closed(), 10)
    await session.end()
    assert sorted(session.ids("FIN")) == [1, 2, 3]
    assert session.lines("REQ") == []


async def test_a_handler_that_hangs_blocks_only_itself(fake: ScriptedNsqd) -> None:
    """The other workers go on, heartbeats included; its message is touched for, and goes back in the end."""
    hanging = asyncio.Event()

    async def handle(message: Message) -> None:
        if message.body == b"hang":
            await hanging.wait()

    async with Subject(handle, fake, concurrency=2, drain_timeout=0.05):
        session = await fake.subscribed()
        session.deliver(1, body=b"hang")
        for number in range(2, 50):
            session.deliver(number)
        await session.received("FIN", 48)
    assert session.ids("REQ") == [1]
