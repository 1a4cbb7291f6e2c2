"""What handlers do and what goes out: FIN, REQ, TOUCH, and what is refused."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.consuming import Subject
from harness.polling import eventually_async
from harness.scripted import OK, ScriptedNsqd, error, message_id
from nsqgw import Message
from nsqgw.errors import AlreadyAnswered, FinFailed
from nsqgw.instrument import Disconnected, HandlerFailed, ServerRefused


def fins(*numbers: int) -> list[str]:
    return [f"FIN {message_id(number).decode()}" for number in numbers]


class Kept:
    """A handler that keeps its messages and answers none: an async one, that waits for ever."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        await asyncio.Event().wait()

    async def first(self, count: int = 1) -> list[Message]:
        await eventually_async(lambda: len(self.messages) >= count)
        return self.messages


def sync(message: Message) -> None:
    if message.body == b"bad":
        raise ValueError("bad body")


async def coroutine(message: Message) -> None:
    sync(message)


async def suspending(message: Message) -> None:
    await asyncio.sleep(0)
    sync(message)


class WithCall:
    async def __call__(self, message: Message) -> None:
        await suspending(message)

    async def method(self, message: Message) -> None:
        await suspending(message)


HANDLERS: list[Callable[[Message], Any]] = [
    sync,
    coroutine,
    suspending,
    WithCall(),
    WithCall().method,
    functools.partial(suspending),
]


@pytest.mark.parametrize(
    "handler", HANDLERS, ids=lambda handler: getattr(handler, "__name__", repr(handler))[:20]
)
async def test_returning_finishes_and_raising_gives_back(
    fake: ScriptedNsqd, handler: Callable[[Message], Any]
) -> None:
    async with Subject(handler, fake, max_backoff_duration=0) as consumer:
        session = await fake.subscribed()
        session.deliver(1, 2)
        session.deliver(3, body=b"bad", attempts=2)
        session.deliver(4)
        assert sorted(await session.received("FIN", 3)) == fins(1, 2, 4)
        assert await session.received("REQ") == [f"REQ {3:016x} 180000"]
        (failed,) = consumer.told(HandlerFailed)
        assert isinstance(failed.error, ValueError)
        assert [message.body for message in failed.messages] == [b"bad"]
        assert consumer.stats.in_flight == 0
        assert (consumer.stats.received, consumer.stats.finished, consumer.stats.requeued) == (4, 3, 1)


def batch_sync(messages: Sequence[Message]) -> None:
    messages[0].requeue(0.0, backoff=False)
    for message in messages:
        sync(message)


async def batch_async(messages: Sequence[Message]) -> None:
    await asyncio.sleep(0)
    batch_sync(messages)


@pytest.mark.parametrize("handler", [batch_sync, batch_async])
async def test_batch_handlers_answer_all_of_a_read(
    fake: ScriptedNsqd, handler: Callable[[Sequence[Message]], Any]
) -> None:
    async with Subject(None, fake, batch_handler=handler, max_backoff_duration=0) as consumer:
        session = await fake.subscribed()
        session.deliver(1, 2, 3)
        assert await session.received("FIN", 2) == fins(2, 3)
        assert session.lines("REQ") == [f"REQ {1:016x} 0"]
        session.deliver(4, 5, body=b"bad")
        await session.received("REQ", 3)
        assert session.lines("REQ")[1:] == [f"REQ {4:016x} 0", f"REQ {5:016x} 90000"]
        assert consumer.stats.in_flight == 0


async def test_what_a_handler_answered_itself_has_the_last_word(fake: ScriptedNsqd) -> None:
    def handle(message: Message) -> None:
        if message.id == message_id(1):
            message.requeue(7.0)
        elif message.id == message_id(2):
            message.finish()
            raise RuntimeError("too late")
        else:
            message.touch()

    async with Subject(handle, fake, max_backoff_duration=0):
        session = await fake.subscribed()
        session.deliver(1, 2, 3)
        await session.received("FIN", 2)
        assert session.lines("FIN") == fins(2, 3)
        assert session.lines("REQ") == [f"REQ {1:016x} 7000"]
        assert session.ids("TOUCH") == [3]


@pytest.mark.parametrize(
    "handler",
    [lambda message: coroutine(message), lambda message: asyncio.get_running_loop().create_future()],
)
async def test_work_that_nobody_awaits_is_not_taken_for_done(fake: ScriptedNsqd, handler: Any) -> None:
    """A sync function around an async one: finishing would lose the message unhandled."""
    async with Subject(handler, fake, max_backoff_duration=0) as consumer:
        session = await fake.subscribed()
        session.deliver(1)
        await session.received("REQ")
        assert session.lines("FIN") == []
        assert "async def" in str(consumer.told(HandlerFailed)[0].error)


def raises_cancelled(message: Message) -> None:
    task = asyncio.get_running_loop().create_future()
    task.cancel()
    task.result()


async def awaits_cancelled(message: Message) -> None:
    task = asyncio.get_running_loop().create_future()
    task.cancel()
    await task


@pytest.mark.parametrize("handler", [raises_cancelled, awaits_cancelled])
async def test_a_handler_whose_own_work_was_cancelled_has_failed(fake: ScriptedNsqd, handler: Any) -> None:
    options = {"max_backoff_duration": 0, "concurrency": 1, "max_in_flight": 5}
    async with Subject(handler, fake, **options) as consumer:
        session = await fake.subscribed()
        session.deliver(1, 2, 3)
        await session.received("REQ", 3)
        assert consumer.told(Disconnected) == []


async def test_c_cli_18_the_delay_grows_with_the_attempts_up_to_its_limit(fake: ScriptedNsqd) -> None:
    async with Subject(lambda message: message.requeue(), fake, max_requeue_delay=300.0):
        session = await fake.subscribed()
        for attempts in (1, 3, 4, 65535):
            session.deliver(attempts, attempts=attempts)
        await session.received("REQ", 4)
        assert [line.split(" ")[2] for line in session.lines("REQ")] == [
            "90000",
            "270000",
            "300000",
            "300000",
        ]


async def test_c_cli_19_a_second_answer_raises_and_sends_nothing(fake: ScriptedNsqd) -> None:
    kept = Kept()
    async with Subject(kept, fake, drain_timeout=0.1):
        session = await fake.subscribed()
        session.deliver(1)
        (message,) = await kept.first()
        message.finish()
        for again in (message.finish, message.requeue, message.touch):
            with pytest.raises(AlreadyAnswered):
                again()
        session.deliver(2)
        await kept.first(2)
        kept.messages[1].finish()
        await session.received("FIN", 2)
        assert session.lines("FIN") == fins(1, 2)
        assert session.lines("REQ") == session.lines("TOUCH") == []


async def test_c_cli_20_a_late_fin_keeps_the_connection(fake: ScriptedNsqd) -> None:
    fake.answers["FIN"] = lambda session, line: error(f"E_FIN_FAILED {line} failed ID not in flight")
    async with Subject(sync, fake) as consumer:
        session = await fake.subscribed()
        session.deliver(1)
        session.deliver(2)
        await eventually_async(lambda: len(consumer.told(ServerRefused)) == 2)
        assert all(isinstance(fact.error, FinFailed) for fact in consumer.told(ServerRefused))
        assert len(fake.sessions) == 1
        assert not session.ended


async def test_c_cli_32_answers_to_a_lost_connection(fake: ScriptedNsqd) -> None:
    """Nothing is sent and nothing raised; an explicit answer says that it is of no use."""
    release = asyncio.Event()
    kept: list[Message] = []

    async def handle(message: Message) -> None:
        kept.append(message)
        await release.wait()
        if message.body == b"bad":
            raise ValueError("bad body")

    async with Subject(handle, fake) as consumer:
        session = await fake.subscribed()
        session.deliver(1, 2)
        session.deliver(3, body=b"bad")
        await eventually_async(lambda: len(kept) == 3)
        session.drop()
        again = await fake.subscribed(1)
        for answer in (kept[1].finish, kept[1].requeue, kept[1].touch):
            assert not answer()
        assert consumer.stats.in_flight == 0
        release.set()
        again.deliver(4)
        await again.received("FIN")
        assert again.lines("FIN") == fins(4)
        assert again.lines("REQ") == []
        assert [fact.unanswered for fact in consumer.told(Disconnected)] == [3]
        assert consumer.stats.in_flight == 0
        assert consumer.stats.received == 4


async def test_the_answers_of_a_read_leave_in_one_write(fake: ScriptedNsqd) -> None:
    async with Subject(sync, fake, max_in_flight=500):
        session = await fake.subscribed()
        session.deliver(*range(300))
        await session.received("FIN", 300)
        assert session.ids("FIN") == list(range(300))


async def test_touching_by_itself_goes_on_until_the_answer(fake: ScriptedNsqd) -> None:
    fake.features |= {"msg_timeout": 200, "max_msg_timeout": 60_000}
    kept = Kept()
    async with Subject(kept, fake, drain_timeout=0.1):
        session = await fake.subscribed()
        session.deliver(1, 2)
        messages = await kept.first(2)
        messages[0].finish()
        await session.received("TOUCH", 3)
        assert set(session.ids("TOUCH")) == {2}
        messages[1].finish()
        await session.received("FIN", 2)
        touches = len(session.lines("TOUCH"))
        session.deliver(3)
        await eventually_async(lambda: 3 in session.ids("TOUCH"))
        assert session.ids("TOUCH").count(2) == touches


async def test_touching_is_as_frequent_as_the_shortest_time_out_needs(fake: ScriptedNsqd) -> None:
    """The first nsqd has a long time-out, the second a short one."""
    async with ScriptedNsqd(msg_timeout=200, max_msg_timeout=60_000) as hasty:
        hasty.answers["SUB"] = None
        kept = Kept()
        async with Subject(kept, fake, hasty, drain_timeout=0.1):
            await fake.subscribed()
            session = await hasty.session()
            await session.received("SUB")
            session.send(OK)
            await session.received("RDY")
            session.deliver(1)
            await asyncio.wait_for(session.received("TOUCH", 2), 3)


async def test_touching_can_be_switched_off(fake: ScriptedNsqd) -> None:
    """By the time the messages count as timed out, at least one touch would have been sent."""
    fake.features |= {"msg_timeout": 100, "max_msg_timeout": 60_000}
    kept = Kept()
    async with Subject(kept, fake, auto_touch=False, drain_timeout=0.1) as consumer:
        session = await fake.subscribed()
        session.deliver(1)
        await kept.first()
        await eventually_async(lambda: consumer.stats.in_flight == 0)
        assert session.lines("TOUCH") == []


async def test_ids_that_are_no_ascii_harm_nobody(fake: ScriptedNsqd) -> None:
    async with Subject(sync, fake) as consumer:
        session = await fake.subscribed()
        session.send(b"\x00\x00\x00\x1f\x00\x00\x00\x02" + bytes(10) + b"\xc3\xa4" * 8 + b"x")
        assert await session.received("FIN") == ["FIN " + "ä" * 8]
        assert consumer.told(Disconnected) == []


async def test_a_hook_that_raises_stops_nothing(fake: ScriptedNsqd) -> None:
    def on_fact(fact: object) -> None:
        raise RuntimeError("the hook is broken")

    async with Subject(sync, fake, on_fact=on_fact):
        session = await fake.subscribed()
        session.drop()
        again = await fake.subscribed(1)
        again.deliver(1)
        await again.received("FIN")
