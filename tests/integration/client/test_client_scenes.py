"""Consumer and producer with nsqd: ours, and the original where it is there."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.http import call
from harness.polling import eventually_async
from nsqgw import ConnectionConfig, Consumer, Message, Producer
from nsqgw.errors import NotConnected

_topics = itertools.count()


@pytest.fixture
def topic() -> str:
    return f"client-{next(_topics)}"


def bodies(count: int, size: int = 0) -> list[bytes]:
    return [b"%d:" % number + bytes(size) for number in range(count)]


def channel_of(nsqd: Daemon, topic: str) -> dict[str, Any]:
    """The statistics of the topic's only channel."""
    (found,) = call(nsqd.http_address, "GET", f"/stats?format=json&topic={topic}").json["topics"]
    channel: dict[str, Any] = found["channels"][0]
    return channel


def held(nsqd: Daemon, topic: str) -> dict[str, int]:
    """What the channel still holds: waiting, in flight and deferred."""
    channel = channel_of(nsqd, topic)
    return {key: channel[key] for key in ("depth", "in_flight_count", "deferred_count")}


LAYERS = {
    "plain": ConnectionConfig(),
    "deflate": ConnectionConfig(deflate=True),
    "deflate-9": ConnectionConfig(deflate=True, deflate_level=9),
    "snappy": ConnectionConfig(snappy=True),
    "unbuffered": ConnectionConfig(output_buffer_size=-1),
}


@pytest.mark.parametrize("layer", LAYERS)
async def test_everything_published_arrives(broker: Daemon, topic: str, layer: str) -> None:
    connection = LAYERS[layer]
    sent = [*bodies(500), *bodies(20, 50_000), b"x" * 1_000_000]
    got: list[bytes] = []

    async def handle(message: Message) -> None:
        await asyncio.sleep(0)
        got.append(message.body)

    options: dict[str, Any] = {"nsqd_tcp_addresses": [broker.tcp_address], "connection": connection}
    async with (
        Consumer(topic, "ch", handle, **options) as consumer,
        Producer([broker.tcp_address], connection=connection) as producer,
    ):
        await asyncio.gather(*(producer.publish(topic, body) for body in sent[:300]))
        await producer.publish_many(topic, sent[300:])
        await eventually_async(lambda: len(got) >= len(sent))
    assert sorted(got) == sorted(sent)
    assert consumer.stats.finished == len(sent)
    assert producer.stats.published == len(sent)
    assert held(broker, topic) == {"depth": 0, "in_flight_count": 0, "deferred_count": 0}


async def test_requeued_messages_come_again(broker: Daemon, topic: str) -> None:
    seen: list[tuple[bytes, int]] = []

    def handle(message: Message) -> None:
        seen.append((message.body, message.attempts))
        if message.attempts < 3:
            message.requeue(0.0, backoff=False)

    async with (
        Consumer(topic, "ch", handle, nsqd_tcp_addresses=[broker.tcp_address]),
        Producer([broker.tcp_address]) as producer,
    ):
        await producer.publish(topic, b"x")
        await eventually_async(lambda: len(seen) == 3)
    assert seen == [(b"x", 1), (b"x", 2), (b"x", 3)]


async def test_failures_slow_down_and_recover(broker: Daemon, topic: str) -> None:
    failures = 3
    done: list[bytes] = []

    def handle(message: Message) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise RuntimeError("not yet")
        done.append(message.body)

    options: dict[str, Any] = {"requeue_delay": 0.0, "backoff_multiplier": 0.01, "max_in_flight": 50}
    async with (
        Consumer(topic, "ch", handle, nsqd_tcp_addresses=[broker.tcp_address], **options) as consumer,
        Producer([broker.tcp_address]) as producer,
    ):
        await producer.publish_many(topic, bodies(30))
        await eventually_async(lambda: len(done) == 30)
        await eventually_async(lambda: [c.rdy for c in consumer.stats.connections] == [50])
    assert sorted(done) == sorted(bodies(30))


async def test_c_cli_29_what_was_handled_is_not_delivered_again(broker: Daemon, topic: str) -> None:
    """Many consumers, each stopped under full load; together they handle every message exactly once."""
    handled: list[bytes] = []

    async def handle(message: Message) -> None:
        await asyncio.sleep(0.001)
        handled.append(message.body)

    sent = bodies(2000)
    async with Producer([broker.tcp_address]) as producer:
        await producer.publish_many(topic, sent)
        target = 0
        while len(handled) < len(sent):
            target = min(target + 300, len(sent))
            options: dict[str, Any] = {"max_in_flight": 100, "concurrency": 20}
            async with Consumer(topic, "ch", handle, nsqd_tcp_addresses=[broker.tcp_address], **options):
                await eventually_async(lambda: len(handled) >= target)  # noqa: B023
    assert sorted(handled) == sorted(sent)
    assert held(broker, topic) == {"depth": 0, "in_flight_count": 0, "deferred_count": 0}


async def test_slow_handlers_are_touched_for(broker: Daemon, topic: str) -> None:
    """A handler of two and a half time-outs sees its message once."""
    started: list[int] = []
    finished: list[int] = []

    async def handle(message: Message) -> None:
        started.append(message.attempts)
        await asyncio.sleep(2.5)
        finished.append(message.attempts)

    options: dict[str, Any] = {"connection": ConnectionConfig(msg_timeout=1.0)}
    async with (
        Consumer(topic, "ch", handle, nsqd_tcp_addresses=[broker.tcp_address], **options),
        Producer([broker.tcp_address]) as producer,
    ):
        await producer.publish_many(topic, [b"a", b"b"])
        await eventually_async(lambda: len(finished) == 2)
    assert started == finished == [1, 1]
    assert held(broker, topic) == {"depth": 0, "in_flight_count": 0, "deferred_count": 0}


async def test_batches_finish_as_one(broker: Daemon, topic: str) -> None:
    got: list[bytes] = []
    async with (
        Consumer(topic, "ch", nsqd_tcp_addresses=[broker.tcp_address], max_in_flight=50) as consumer,
        Producer([broker.tcp_address]) as producer,
    ):
        await producer.publish_many(topic, bodies(500))
        async for batch in consumer.batches(max_messages=100, max_wait=5.0):
            assert len(batch) <= 50
            got += [message.body for message in batch]
            batch.finish()
            if len(got) == 500:
                break
    assert sorted(got) == sorted(bodies(500))


async def test_deferred_messages_come_later(broker: Daemon, topic: str) -> None:
    got: list[bytes] = []
    loop = asyncio.get_running_loop()
    async with (
        Consumer(
            topic, "ch", lambda message: got.append(message.body), nsqd_tcp_addresses=[broker.tcp_address]
        ),
        Producer([broker.tcp_address]) as producer,
    ):
        began = loop.time()
        await producer.publish(topic, b"later", delay=0.5)
        await producer.publish(topic, b"now")
        await eventually_async(lambda: len(got) == 2)
        assert got == [b"now", b"later"]
        assert loop.time() - began >= 0.5


async def test_c_cli_30_the_http_port_is_named_as_the_mistake(broker: Daemon, topic: str) -> None:
    connection = ConnectionConfig(connect_timeout=0.5)
    async with Consumer(
        topic, "ch", print, nsqd_tcp_addresses=[broker.http_address], connection=connection
    ) as consumer:
        with pytest.raises(NotConnected) as caught:
            await consumer.wait_connected(1.5)
    assert broker.http_address in str(caught.value)
    assert "this is an HTTP port; use nsqd's TCP port" in str(caught.value)


async def test_c_cli_31_pausing_on_a_real_connection(broker: Daemon, topic: str) -> None:
    got: list[bytes] = []

    def handle(message: Message) -> None:
        got.append(message.body)

    async with (
        Consumer(topic, "ch", handle, nsqd_tcp_addresses=[broker.tcp_address]) as consumer,
        Producer([broker.tcp_address]) as producer,
    ):
        await producer.publish(topic, b"1")
        await eventually_async(lambda: got == [b"1"])
        consumer.set_max_in_flight(0)
        await eventually_async(lambda: channel_of(broker, topic)["clients"][0]["ready_count"] == 0)
        await producer.publish(topic, b"2")
        await eventually_async(lambda: held(broker, topic)["depth"] == 1)
        assert got == [b"1"]
        consumer.set_max_in_flight(10)
        await eventually_async(lambda: got == [b"1", b"2"])


async def test_a_crash_loses_nothing_that_was_confirmed_before_it(
    start_nsqd: Callable[..., Daemon], topic: str
) -> None:
    """Both clients carry on after the broker is back; each publish either returned or raised."""
    nsqd = start_nsqd()
    got: set[bytes] = set()
    quick: dict[str, Any] = {"reconnect_min_delay": 0.02, "reconnect_max_delay": 0.2}
    async with (
        Consumer(topic, "ch", lambda m: got.add(m.body), nsqd_tcp_addresses=[nsqd.tcp_address], **quick),
        Producer([nsqd.tcp_address], **quick) as producer,
    ):
        first = await asyncio.gather(*(producer.publish(topic, body) for body in bodies(100)))
        assert first == [None] * 100
        await eventually_async(lambda: len(got) == 100)
        nsqd.stop()
        await eventually_async(lambda: producer.stats.connected == ())
        waiting = asyncio.ensure_future(producer.publish(topic, b"while away"))
        await asyncio.to_thread(nsqd.start)
        await asyncio.wait_for(waiting, 10)
        await eventually_async(lambda: b"while away" in got)
