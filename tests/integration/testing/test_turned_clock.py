"""The clock that tests turn: what becomes due is done when `advance` returns, and living clients live on."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from nsqgw import Consumer, Message
from nsqgw.errors import ConfigError

HOUR = 3600.0


def test_a_message_in_flight_times_out(watched: Any, connect: Any) -> None:
    client = connect()
    client.subscribe()
    watched.publish("orders", b"one")
    assert client.read_message()[1:] == (1, b"one")
    watched.clock.freeze()
    watched.clock.advance(59)
    assert watched.topic("orders").channel("billing").figures.timed_out == 0
    watched.clock.advance(2, patience=0)
    assert watched.topic("orders").channel("billing").figures.timed_out == 1


def test_a_message_comes_again_to_who_takes_it(watched: Any, connect: Any) -> None:
    silent, other = connect(), connect()
    silent.subscribe(rdy=1)
    watched.publish("orders", b"one")
    message_id, _, _ = silent.read_message()
    other.subscribe()
    silent.send(b"RDY 0\n")
    watched.topic("orders").channel("billing").assert_consumers(2)
    watched.clock.advance(61, patience=0)
    frames = [other.read_message() for _ in range(2)]  # a heartbeat, too
    assert (message_id, 2, b"one") in frames


def test_a_requeue_delay_is_over(watched: Any, connect: Any) -> None:
    client = connect()
    client.subscribe()
    watched.publish("orders", b"one")
    message_id, _, _ = client.read_message()
    client.send(b"REQ " + message_id + b" 20000\n")
    channel = watched.topic("orders").channel("billing")
    channel.assert_requeued(1)
    channel.assert_deferred(1)
    assert channel.requeued[0].delay == 20.0
    watched.clock.advance(20)
    assert channel.figures.deferred == 0
    assert client.read_message()[1:] == (2, b"one")


def test_a_deferred_publish_is_due_to_the_moment(watched: Any, connect: Any) -> None:
    watched.clock.freeze()
    client = connect()
    client.subscribe()
    channel = watched.topic("orders").channel("billing")
    watched.publish("orders", b"later", delay=HOUR)
    channel.assert_deferred(1)
    client.send(b"NOP\n")
    watched.clock.advance(10.0)
    watched.clock.advance(0.05)
    assert channel.figures.deferred == 1
    watched.clock.advance(HOUR - 10.05, patience=0)
    assert channel.figures.deferred == 0
    assert len(channel.delivered) == 1


def test_timestamps_follow_the_clock(watched: Any, connect: Any) -> None:
    watched.clock.advance(HOUR)
    client = connect()
    client.subscribe()
    watched.publish("orders", b"one")
    client._file.read(8)
    timestamp = int.from_bytes(client._file.read(8), "big")
    assert timestamp > time.time_ns() + 3590e9


def test_heartbeats_are_due_and_silence_ends_the_connection(watched: Any, connect: Any) -> None:
    client = connect()
    client.subscribe()
    watched.topic("orders").channel("billing").assert_consumers(1)
    watched.clock.advance(30)
    assert client.read() == b"_heartbeat_"
    client.send(b"NOP\n")
    watched.clock.advance(61, patience=0)
    assert client.read() == b"_heartbeat_"
    assert client.read() == b""
    watched.topic("orders").channel("billing").assert_consumers(0)


async def test_a_living_consumer_survives_any_leap(watched: Any) -> None:
    bodies: list[bytes] = []
    facts: list[object] = []

    def handle(message: Message) -> None:
        bodies.append(message.body)
        if message.attempts == 1:
            message.requeue(600.0, backoff=False)

    channel = watched.topic("orders").channel("billing")
    nsqds = [watched.tcp_address]
    async with Consumer("orders", "billing", handle, nsqd_tcp_addresses=nsqds, on_fact=facts.append):
        await asyncio.to_thread(watched.publish, "orders", b"one")
        await asyncio.to_thread(channel.assert_requeued, 1)
        for _ in range(3):
            await asyncio.to_thread(watched.clock.advance, 250.0)
        await asyncio.to_thread(channel.assert_finished, 1)
        assert [type(fact).__name__ for fact in facts] == ["Connected"]
    assert bodies == [b"one", b"one"]


async def test_turning_it_in_a_loop_says_how_to(watched: Any) -> None:
    with pytest.raises(RuntimeError, match=r"await asyncio\.to_thread\(nsqd\.clock\.advance, 60\)"):
        watched.clock.advance(60)


def test_it_goes_forward_only(watched: Any) -> None:
    with pytest.raises(ConfigError, match="seconds = -1 must be 0 or more"):
        watched.clock.advance(-1)


def test_it_is_kept_over_a_restart(watched: Any, connect: Any) -> None:
    watched.clock.freeze()
    watched.stop()
    watched.clock.advance(HOUR)
    watched.start()
    client = connect()
    client.subscribe()
    watched.publish("orders", b"one")
    client._file.read(8)
    assert int.from_bytes(client._file.read(8), "big") > time.time_ns() + 3590e9
