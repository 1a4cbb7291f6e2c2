"""Messages that cannot be handled: attempts, rules for exceptions, dead letters, time-outs, threads."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.http import call
from harness.polling import eventually_async
from nsqgw import Consumer, FailureRule, Message, Producer
from nsqgw.errors import AlreadyAnswered, ConfigError, DeadlineExceeded
from nsqgw.instrument import Fact, GivenUp, HandlerFailed

_topics = itertools.count()
EAGER: dict[str, Any] = {"requeue_delay": 0.0, "max_backoff_duration": 0}


@pytest.fixture
def topic() -> str:
    return f"giving-up-{next(_topics)}"


def refuse(message: Message) -> None:
    raise ValueError("no such thing")


async def publish(nsqd: Daemon, topic: str, *bodies: bytes) -> None:
    async with Producer([nsqd.tcp_address]) as producer:
        await producer.publish_many(topic, bodies)


async def drained(nsqd: Daemon, topic: str) -> None:
    """Until the channel of the topic holds nothing."""

    def empty() -> bool:
        (found,) = call(nsqd.http_address, "GET", f"/stats?format=json&topic={topic}").json["topics"]
        keys = ("depth", "in_flight_count", "deferred_count")
        return not found["depth"] and all(not channel[key] for channel in found["channels"] for key in keys)

    await eventually_async(empty, what="an empty channel")


async def test_after_max_attempts_the_body_is_in_the_dead_letter_topic(broker: Daemon, topic: str) -> None:
    attempts: list[int] = []
    facts: list[Fact] = []

    def handle(message: Message) -> None:
        attempts.append(message.attempts)
        refuse(message)

    dead = f"{topic}.dead"
    options = {"max_attempts": 3, "dead_letter_topic": dead, **EAGER}
    sources = {"nsqd_tcp_addresses": [broker.tcp_address]}
    await publish(broker, topic, b"poison")
    async with (
        Consumer(topic, "ch", handle, on_fact=facts.append, **sources, **options),
        Consumer(dead, "ch", **sources) as letters,
    ):
        letter = await anext(aiter(letters))
        assert letter.body == b"poison"
        letter.finish()
        await drained(broker, topic)
    assert attempts == [1, 2, 3]
    (given_up,) = [fact for fact in facts if isinstance(fact, GivenUp)]
    assert (given_up.dead_letter_topic, given_up.error, given_up.message.attempts) == (dead, None, 4)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_c_cli_17_giving_up_is_a_handler_like_any_other(
    broker: Daemon, topic: str, asynchronous: bool
) -> None:
    handled: list[int] = []
    given_up: list[int] = []

    def handle(message: Message) -> None:
        handled.append(message.attempts)
        refuse(message)

    def give_up(message: Message) -> None:
        given_up.append(message.attempts)
        if len(given_up) == 1:
            raise OSError("the store is away")

    async def give_up_later(message: Message) -> None:
        give_up(message)

    hook = give_up_later if asynchronous else give_up
    await publish(broker, topic, b"poison")
    sources = {"nsqd_tcp_addresses": [broker.tcp_address]}
    async with Consumer(topic, "ch", handle, on_giving_up=hook, max_attempts=2, **sources, **EAGER):
        await eventually_async(lambda: len(given_up) == 2)
        await drained(broker, topic)
    assert handled == [1, 2]
    assert given_up == [3, 4], "what the hook could not store came again"


async def test_a_rule_decides_by_the_nearest_base_class(broker: Daemon, topic: str) -> None:
    errors = {b"key": KeyError(), b"lookup": LookupError(), b"os": OSError()}
    seen: list[tuple[bytes, int]] = []
    facts: list[Fact] = []

    def handle(message: Message) -> None:
        seen.append((message.body, message.attempts))
        if message.attempts == 1:
            raise errors[message.body]

    rules = {
        LookupError: FailureRule(delay=0.0, backoff=False),
        KeyError: FailureRule(give_up=True),
        OSError: FailureRule(delay=0.0),
    }
    await publish(broker, topic, *errors)
    sources = {"nsqd_tcp_addresses": [broker.tcp_address]}
    options = {"dead_letter_topic": f"{topic}.dead", "backoff_multiplier": 0.001}
    async with Consumer(topic, "ch", handle, failure_rules=rules, on_fact=facts.append, **sources, **options):
        await eventually_async(lambda: len(seen) == 5)
        await drained(broker, topic)
    assert sorted(seen) == [(b"key", 1), (b"lookup", 1), (b"lookup", 2), (b"os", 1), (b"os", 2)]
    assert [fact.message.body for fact in facts if isinstance(fact, GivenUp)] == [b"key"]


async def test_iterating_gives_up_too(broker: Daemon, topic: str) -> None:
    dead = f"{topic}.dead"
    sources = {"nsqd_tcp_addresses": [broker.tcp_address]}
    await publish(broker, topic, b"poison")
    seen: list[int] = []
    async with (
        Consumer(topic, "ch", max_attempts=2, dead_letter_topic=dead, **sources) as consumer,
        Consumer(dead, "ch", **sources) as letters,
    ):

        async def iterate() -> None:
            async for message in consumer:
                seen.append(message.attempts)
                message.requeue(0.0, backoff=False)

        iterating = asyncio.ensure_future(iterate())
        letter = await anext(aiter(letters))
        letter.finish()
        iterating.cancel()
    assert (letter.body, seen) == (b"poison", [1, 2])


NOT_ENOUGH = "dead_letter_topic or on_giving_up"
CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"max_attempts": 5}, NOT_ENOUGH),
    ({"failure_rules": {ValueError: FailureRule(give_up=True)}}, NOT_ENOUGH),
    ({"dead_letter_topic": "t.dead", "on_giving_up": refuse}, "not both"),
    ({"dead_letter_topic": "no topic"}, "'no topic' is not valid"),
    ({"failure_rules": {ValueError: "drop"}}, "FailureRule"),
    ({"failure_rules": {"ValueError": FailureRule()}}, "exception class"),
    ({"handler_timeout": 1.0}, "cannot stop a sync handler"),
    ({"max_attempts": 70_000}, "max_attempts = 70000"),
]


@pytest.mark.parametrize(("options", "words"), CONTRADICTIONS)
def test_what_does_not_go_together_is_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Consumer("t", "c", refuse, nsqd_tcp_addresses=["127.0.0.1:4150"], **options)


async def test_a_handler_that_takes_too_long_has_failed(broker: Daemon, topic: str) -> None:
    attempts: list[int] = []
    facts: list[Fact] = []

    async def handle(message: Message) -> None:
        attempts.append(message.attempts)
        if message.attempts == 1:
            await asyncio.Event().wait()

    await publish(broker, topic, b"slow")
    sources = {"nsqd_tcp_addresses": [broker.tcp_address]}
    async with Consumer(topic, "ch", handle, on_fact=facts.append, handler_timeout=0.05, **sources, **EAGER):
        await eventually_async(lambda: attempts == [1, 2])
        await drained(broker, topic)
    (failed,) = [fact for fact in facts if isinstance(fact, HandlerFailed)]
    assert isinstance(failed.error, DeadlineExceeded)
    assert "handler_timeout = 0.05 s" in str(failed.error)


async def test_blocking_handlers_run_in_threads_and_answer_from_there(broker: Daemon, topic: str) -> None:
    together = threading.Barrier(4)
    names: set[str] = set()
    problems: list[Exception] = []

    def handle(message: Message) -> None:
        together.wait(20)  # only passes when four run at once, and the event loop goes on meanwhile
        names.add(threading.current_thread().name)
        message.touch()
        if message.body == b"explicit":
            message.finish()
            try:
                message.finish()
            except AlreadyAnswered as error:
                problems.append(error)

    await publish(broker, topic, b"1", b"2", b"3", b"explicit")
    sources = {"nsqd_tcp_addresses": [broker.tcp_address]}
    async with Consumer(topic, "ch", handle, threads=4, **sources) as consumer:
        await eventually_async(lambda: consumer.stats.finished == 4)
        await drained(broker, topic)
    assert len(names) == 4
    assert all(name.startswith("nsqgw-handler") for name in names)
    assert len(problems) == 1


@pytest.mark.parametrize("batch", [False, True])
async def test_a_failing_thread_gives_back(broker: Daemon, topic: str, batch: bool) -> None:
    attempts: list[int] = []

    def handle(message: Message) -> None:
        attempts.append(message.attempts)
        if message.attempts == 1:
            refuse(message)

    def handle_all(messages: Any) -> None:
        for message in messages:
            handle(message)

    await publish(broker, topic, b"x")
    handler: dict[str, Callable[[Any], None]] = (
        {"batch_handler": handle_all} if batch else {"handler": handle}
    )
    sources = {"nsqd_tcp_addresses": [broker.tcp_address]}
    async with Consumer(topic, "ch", threads=2, **handler, **sources, **EAGER):
        await eventually_async(lambda: attempts == [1, 2])
        await drained(broker, topic)


async def test_a_thread_that_goes_on_behind_its_time_out_cannot_answer(broker: Daemon, topic: str) -> None:
    release = threading.Event()
    outcomes: list[BaseException | None] = []

    def handle(message: Message) -> None:
        if message.attempts > 1:
            return
        release.wait(20)
        try:
            message.finish()
        except AlreadyAnswered as error:
            outcomes.append(error)
        else:
            outcomes.append(None)

    await publish(broker, topic, b"x")
    sources = {"nsqd_tcp_addresses": [broker.tcp_address]}
    options = {"threads": 2, "handler_timeout": 0.05, **EAGER}
    async with Consumer(topic, "ch", handle, **sources, **options) as consumer:
        await eventually_async(lambda: consumer.stats.finished == 1)
        release.set()
        await eventually_async(lambda: len(outcomes) == 1)
    assert isinstance(outcomes[0], AlreadyAnswered)


async def test_stop_does_not_wait_for_a_thread_for_ever(broker: Daemon, topic: str) -> None:
    release = threading.Event()
    started = threading.Event()

    def handle(message: Message) -> None:
        started.set()
        release.wait(20)

    await publish(broker, topic, b"x")
    consumer = Consumer(topic, "ch", handle, nsqd_tcp_addresses=[broker.tcp_address], threads=1)
    await consumer.start()
    await eventually_async(started.is_set)
    before = time.monotonic()
    await consumer.stop(timeout=0.05)
    assert time.monotonic() - before < 15, "it would have waited for the thread"
    release.set()
    assert consumer.stats.requeued == 1


async def test_a_sync_handler_in_a_thread_that_returns_work_has_failed(broker: Daemon, topic: str) -> None:
    """Finishing would lose the message: nobody awaits what the handler returned."""
    done: list[bytes] = []
    facts: list[Fact] = []

    async def work(message: Message) -> None:
        done.append(message.body)

    await publish(broker, topic, b"x")
    options: dict[str, Any] = {"nsqd_tcp_addresses": [broker.tcp_address], "on_fact": facts.append}
    async with Consumer(
        topic, "ch", lambda message: work(message), threads=1, **options, **EAGER
    ) as consumer:
        await eventually_async(lambda: any(isinstance(fact, HandlerFailed) for fact in facts))
        assert consumer.stats.finished == 0
    assert done == []


async def test_a_refused_dead_letter_takes_nothing_else_down(start_nsqd: Callable[..., Daemon]) -> None:
    """It is tried again, on a connection of its own; the others are handled meanwhile."""
    nsqd = start_nsqd(max_msg_size=10)
    handled: list[bytes] = []
    facts: list[Fact] = []

    def handle(message: Message) -> None:
        if message.body == b"poison":
            refuse(message)
        handled.append(message.body)

    await publish(nsqd, "t", b"poison", b"1", b"2")
    options: dict[str, Any] = {"nsqd_tcp_addresses": [nsqd.tcp_address], "on_fact": facts.append}
    consumer = Consumer("t", "ch", handle, max_attempts=1, dead_letter_topic="d", **options, **EAGER)
    async with consumer:
        letters = consumer._handover._giving_up
        assert letters is not None
        letters._topic = "bad$topic"  # nsqd refuses it, and closes the connection it came on
        await eventually_async(lambda: len([fact for fact in facts if isinstance(fact, GivenUp)]) >= 2)
        assert sorted(handled) == [b"1", b"2"]
        assert consumer.stats.connections[0].received >= 4, "the consuming connection is the first one still"
        letters._topic = "d"
        await drained(nsqd, "t")
    assert consumer.stats.requeued >= 2


def test_a_hanging_handler_does_not_keep_the_program_alive() -> None:
    program = """
import asyncio, threading
from compat.nsqd import Nsqd, NsqdOptions
from nsqgw import Consumer, Producer

started = threading.Event()

def hang(message):
    started.set()
    threading.Event().wait()

async def main():
    async with Nsqd(NsqdOptions(tcp_address="127.0.0.1:0", http_address="127.0.0.1:0")) as nsqd:
        async with Producer([nsqd.tcp_address]) as producer:
            await producer.publish("t", b"x")
        consumer = Consumer("t", "c", hang, nsqd_tcp_addresses=[nsqd.tcp_address], threads=1)
        await consumer.start()
        while not started.is_set():
            await asyncio.sleep(0.01)
        await consumer.stop(timeout=0.05)
        print("stopped")

asyncio.run(main())
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout == "stopped\n"
    assert run.returncode == 0
