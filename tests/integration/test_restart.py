"""nsqd is killed under a running consumer and producer and started again: both carry on by themselves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.http import post
from harness.polling import eventually_async
from nsqgw import Consumer, Message, NSQError, Producer
from nsqgw.errors import NotConnected
from nsqgw.instrument import Connected, ConnectFailed, Disconnected, Fact

logger = logging.getLogger(__name__)

StartNsqd = Callable[..., Daemon]

CARRY_ON = 30.0
"""Deadline for what takes well under a second on a quiet machine; the promise is 5 s."""


@pytest.fixture(autouse=True)
async def nothing_escapes() -> AsyncIterator[None]:
    """No task, callback or future fails unseen."""
    escaped: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    yield
    assert escaped == []


async def kill_and_start(daemon: Daemon, away: float = 0.3) -> None:
    """A crash, and a supervisor that starts it again."""
    await asyncio.to_thread(daemon.stop)
    await asyncio.sleep(away)
    await asyncio.to_thread(daemon.start)


async def test_consumer_carries_on(start_nsqd: StartNsqd) -> None:
    daemon = start_nsqd()
    facts: list[Fact] = []
    bodies: list[bytes] = []

    async def handle(message: Message) -> None:
        bodies.append(message.body)

    sources = [daemon.tcp_address]
    async with Consumer("t", "ch", handle, nsqd_tcp_addresses=sources, on_fact=facts.append) as consumer:
        await consumer.wait_connected(CARRY_ON)
        await asyncio.to_thread(post, daemon.http_address, "/pub?topic=t", b"before")
        await eventually_async(lambda: bodies == [b"before"])
        await kill_and_start(daemon)
        started = time.monotonic()
        await asyncio.to_thread(post, daemon.http_address, "/pub?topic=t", b"after")
        await eventually_async(lambda: b"after" in bodies, CARRY_ON)
        logger.info("%s: consumer carried on after %.2f s", daemon.kind, time.monotonic() - started)
    pauses = [fact.retry_in for fact in facts if isinstance(fact, ConnectFailed)]
    assert max(pauses, default=0.0) < 5.0, "the promise: no longer than that after nsqd is there again"
    kinds = [type(fact) for fact in facts]
    assert kinds.index(Connected) < kinds.index(Disconnected)
    assert Connected in kinds[kinds.index(Disconnected) :]
    (lost, *_) = [fact for fact in facts if isinstance(fact, Disconnected)]
    assert isinstance(lost.error, NSQError)


async def test_producer_carries_on_and_knows_of_every_message(start_nsqd: StartNsqd) -> None:
    daemon = start_nsqd()
    returned: list[int] = []
    raised: list[int] = []

    async with Producer([daemon.tcp_address], on_fact=lambda fact: None) as producer:

        async def publish(number: int) -> None:
            try:
                await producer.publish("t", b"%d" % number)
            except NSQError:
                raised.append(number)
            else:
                returned.append(number)

        async def publish_until(done: Callable[[], bool]) -> int:
            total = 0
            deadline = time.monotonic() + CARRY_ON
            while not done():
                assert time.monotonic() < deadline, "publishing did not go on"
                await asyncio.gather(*(publish(total + number) for number in range(50)))
                total += 50
            return total

        await producer.wait_connected(CARRY_ON)
        killing = asyncio.create_task(kill_and_start(daemon))
        seen = {"after": 0.0}
        killing.add_done_callback(lambda _: seen.update(after=time.monotonic()))
        total = await publish_until(lambda: killing.done() and len(returned) > 0)
        before = len(returned)
        await publish(total)
        assert len(returned) == before + 1
        logger.info("%s: producer carried on after %.2f s", daemon.kind, time.monotonic() - seen["after"])
        await killing
    assert sorted(returned + raised) == list(range(total + 1))


async def test_publish_waits_for_an_nsqd_that_is_away(start_nsqd: StartNsqd) -> None:
    daemon = start_nsqd()
    async with Producer([daemon.tcp_address], on_fact=lambda fact: None) as producer:
        await producer.wait_connected(CARRY_ON)
        await asyncio.to_thread(daemon.stop)
        with pytest.raises(NSQError):
            await producer.publish("t", b"into the void", timeout=0.5)
        with pytest.raises(NotConnected, match=daemon.tcp_address):
            await producer.publish("t", b"nobody there", timeout=0.5)
        waiting = asyncio.ensure_future(producer.publish("t", b"patience", timeout=CARRY_ON))
        await asyncio.to_thread(daemon.start)
        await waiting


async def test_stream_of_messages_over_a_restart(start_nsqd: StartNsqd) -> None:
    """What was published after the restart arrives; a crash may lose what nsqd had in memory before."""
    daemon = start_nsqd()
    seen: set[int] = set()
    returned: dict[int, float] = {}

    def handle(message: Message) -> None:
        seen.add(int(message.body))

    async with (
        Consumer("t", "ch", handle, nsqd_tcp_addresses=[daemon.tcp_address], on_fact=lambda fact: None),
        Producer([daemon.tcp_address], on_fact=lambda fact: None) as producer,
    ):
        stop = asyncio.Event()

        async def publish_numbers() -> None:
            number = 0
            while not stop.is_set():
                sent = time.monotonic()
                try:
                    await producer.publish("t", b"%d" % number)
                    returned[number] = sent
                except NSQError:
                    await asyncio.sleep(0.01)
                number += 1

        publishing = asyncio.create_task(publish_numbers())
        await eventually_async(lambda: len(seen) > 100, CARRY_ON)
        await kill_and_start(daemon)
        restarted = time.monotonic()

        def confirmed_since() -> set[int]:
            return {number for number, sent in returned.items() if sent > restarted}

        await eventually_async(lambda: len(confirmed_since()) > 100, CARRY_ON)
        stop.set()
        await publishing
        await eventually_async(lambda: confirmed_since() <= seen, CARRY_ON)


@pytest.mark.parametrize("kind", [pytest.param("real", marks=pytest.mark.real)], indirect=True)
async def test_real_nsqd_on_disk_loses_nothing_confirmed(start_nsqd: StartNsqd) -> None:
    """With every message on disk a kill loses none whose publish returned (ours keeps all in memory)."""
    daemon = start_nsqd(mem_queue_size=0, sync_every=1)
    returned: set[bytes] = set()
    seen: set[bytes] = set()

    async with Producer([daemon.tcp_address], on_fact=lambda fact: None) as producer:

        async def publish(number: int) -> None:
            await producer.publish("t", b"%d" % number)
            returned.add(b"%d" % number)

        await producer.wait_connected(CARRY_ON)
        publishing = [asyncio.create_task(publish(number)) for number in range(2000)]
        await eventually_async(lambda: len(returned) > 100, CARRY_ON)
        await asyncio.to_thread(daemon.stop)
        outcomes = await asyncio.gather(*publishing, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, NSQError) for outcome in outcomes)
        await asyncio.to_thread(daemon.start)

    def handle(message: Message) -> None:
        seen.add(message.body)

    async with Consumer("t", "ch", handle, nsqd_tcp_addresses=[daemon.tcp_address]):
        await eventually_async(lambda: returned <= seen, CARRY_ON)


async def test_the_other_nsqd_takes_over(start_nsqd: StartNsqd) -> None:
    lost, kept = start_nsqd(), start_nsqd()
    sources = [lost.tcp_address, kept.tcp_address]
    seen: set[str] = set()

    def handle(message: Message) -> None:
        seen.add(message.nsqd_address)

    async with (
        Consumer("t", "ch", handle, nsqd_tcp_addresses=sources, on_fact=lambda fact: None) as consumer,
        Producer(sources, on_fact=lambda fact: None) as producer,
    ):
        await eventually_async(lambda: len(consumer.stats.connections) == 2, CARRY_ON)
        await eventually_async(lambda: len(producer.stats.connected) == 2, CARRY_ON)
        await asyncio.gather(*(producer.publish("t", b"x") for _ in range(100)))
        await eventually_async(lambda: seen == set(sources), CARRY_ON)
        await asyncio.to_thread(lost.stop)
        await eventually_async(lambda: len(consumer.stats.connections) == 1, CARRY_ON)
        seen.clear()
        for _ in range(10):
            await producer.publish("t", b"x")
        await eventually_async(lambda: seen == {kept.tcp_address}, CARRY_ON)
        await asyncio.to_thread(lost.start)
        await eventually_async(lambda: len(consumer.stats.connections) == 2, CARRY_ON)
