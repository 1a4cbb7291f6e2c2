"""Time goes wrong: the wall clock jumps, and the event loop is blocked for longer than heartbeats take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.consuming import Subject
from harness.daemons import Daemon
from harness.http import channel_stats
from harness.load import ALERT, CARRY_ON, under_load
from harness.polling import eventually_async
from harness.proxy import Proxy
from harness.scripted import HEARTBEAT, QUICK, ScriptedNsqd
from nsqgw import ConnectionConfig, Consumer, Message, Producer
from nsqgw.instrument import Connected, Disconnected, Fact

HOUR = 3600.0


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the wall clock that our process sees by so many seconds."""
    real, offset = time.time, 0.0

    def jump(seconds: float) -> None:
        nonlocal offset
        offset += seconds

    monkeypatch.setattr(time, "time", lambda: real() + offset)
    return jump


def held(nsqd: Daemon, topic: str) -> int:
    """Messages that wait or are in flight."""
    figures = channel_stats(nsqd.http_address, topic, "ch")
    return int(figures["depth"]) + int(figures["in_flight_count"])


async def test_jumps_of_the_wall_clock_change_nothing(
    broker: Daemon, topic: str, jump: Callable[[float], None]
) -> None:
    """An hour forth, then two back: no connection is lost, none takes an hour to come back."""
    loop = asyncio.get_running_loop()
    async with (
        Proxy(broker.tcp_address) as proxy,
        under_load(topic, [proxy.address], [proxy.address], connection=ALERT) as load,
    ):
        began = loop.time()
        for seconds in (HOUR, -2 * HOUR):
            jump(seconds)
            await asyncio.sleep(1.2)  # a heartbeat and more
            await load.goes_on()
        assert load.disconnects() == []
        proxy.on_link = lambda link: jump(HOUR)
        for _ in range(2):
            accepted = proxy.accepted
            proxy.reset()
            await eventually_async(lambda: proxy.accepted >= accepted + 2, CARRY_ON)  # noqa: B023
            await load.goes_on()
            proxy.on_link = lambda link: jump(-HOUR)
        assert loop.time() - began < CARRY_ON


async def test_a_slow_handler_is_touched_for_while_the_wall_clock_jumps(
    broker: Daemon, topic: str, jump: Callable[[float], None]
) -> None:
    attempts: list[int] = []

    async def handle(message: Message) -> None:
        jump(HOUR)
        await asyncio.sleep(0.8)
        jump(-2 * HOUR)
        await asyncio.sleep(0.8)
        attempts.append(message.attempts)

    source = [broker.tcp_address]
    async with (
        Consumer(f"{topic}-slow", "ch", handle, nsqd_tcp_addresses=source, connection=ALERT),
        Producer(source) as producer,
    ):
        await producer.publish(f"{topic}-slow", b"x")
        await eventually_async(lambda: attempts)
    assert attempts == [1]


async def test_a_loop_blocked_for_many_heartbeats_is_not_taken_for_a_silent_nsqd(fake: ScriptedNsqd) -> None:
    """The heartbeats that came meanwhile are answered late; whether that is too late is for nsqd to say."""

    def block(message: Message) -> None:
        time.sleep(2.6)

    async with Subject(block, fake, connection=ConnectionConfig(heartbeat_interval=1.0)) as consumer:
        session = await fake.subscribed()
        session.deliver(1)
        session.send(HEARTBEAT)
        await session.received("FIN")
        await session.received("NOP")
        for _ in range(3):
            session.send(HEARTBEAT)
            await asyncio.sleep(0.2)
        assert consumer.told(Disconnected) == []
    assert len(fake.sessions) == 1


async def test_a_loop_blocked_for_less_than_two_heartbeats_keeps_its_connection(
    broker: Daemon, topic: str
) -> None:
    """The heartbeat that came meanwhile is answered late, and early enough."""
    done: list[int] = []

    def block(message: Message) -> None:
        time.sleep(1.5)
        done.append(message.attempts)

    facts: list[Fact] = []
    alert = ConnectionConfig(heartbeat_interval=1.0)
    options: dict[str, Any] = {"connection": alert, "max_in_flight": 1, "on_fact": facts.append}
    async with (
        Consumer(f"{topic}-short", "ch", block, nsqd_tcp_addresses=[broker.tcp_address], **options),
        Producer([broker.tcp_address]) as producer,
    ):
        await producer.publish(f"{topic}-short", b"a")
        await eventually_async(lambda: len(done) == 1)
        assert [type(fact) for fact in facts] == [Connected]
    assert done == [1]


async def test_a_loop_blocked_for_longer_than_nsqd_waits_connects_again(broker: Daemon, topic: str) -> None:
    """nsqd hangs up after two heartbeats without an answer. Nothing is lost: the message comes again."""
    attempts: list[int] = []

    def block(message: Message) -> None:
        attempts.append(message.attempts)
        if message.attempts == 1:
            time.sleep(2.6)

    facts: list[Fact] = []
    options: dict[str, Any] = QUICK | {"connection": ALERT, "on_fact": facts.append}
    async with (
        Consumer(f"{topic}-long", "ch", block, nsqd_tcp_addresses=[broker.tcp_address], **options),
        Producer([broker.tcp_address]) as producer,
    ):
        await producer.publish(f"{topic}-long", b"a")
        await eventually_async(lambda: [type(fact) for fact in facts] == [Connected, Disconnected, Connected])
        await eventually_async(lambda: attempts[-1] > 1 and held(broker, f"{topic}-long") == 0)
