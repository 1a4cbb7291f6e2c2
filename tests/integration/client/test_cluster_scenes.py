"""Clients with several nsqds, found through nsqlookupd: all of it ours, and all of it the original."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.http import post
from harness.polling import eventually_async
from harness.scripted import QUICK
from nsqgw import Consumer, Message, Producer

POLLING: dict[str, Any] = {"lookupd_poll_interval": 0.2, "lookupd_poll_jitter": 0.0}


@pytest.fixture
def lookupd(start_nsqlookupd: Callable[..., Daemon]) -> Daemon:
    return start_nsqlookupd()


@pytest.fixture
def start(start_nsqd: Callable[..., Daemon], lookupd: Daemon) -> Callable[[], Daemon]:
    """Starts an nsqd that registers with nsqlookupd."""
    return lambda: start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))


async def fill(nsqd: Daemon, topic: str, *bodies: bytes) -> None:
    async with Producer([nsqd.tcp_address]) as producer:
        await producer.publish_many(topic, bodies)


async def test_topics_by_pattern_join_as_they_come(lookupd: Daemon, start: Callable[[], Daemon]) -> None:
    seen: set[tuple[str, bytes]] = set()

    def handle(message: Message) -> None:
        seen.add((message.topic, message.body))

    nsqd = start()
    await fill(nsqd, "logs.web", b"GET")
    await fill(nsqd, "orders", b"17")
    async with Consumer("logs.*", "c", handle, lookupd_http_addresses=[lookupd.http_address], **POLLING):
        await eventually_async(lambda: seen == {("logs.web", b"GET")})
        await fill(start(), "logs.mail", b"HELO")
        await eventually_async(lambda: seen == {("logs.web", b"GET"), ("logs.mail", b"HELO")})


async def test_fewer_in_flight_than_nsqds_none_starves(lookupd: Daemon, start: Callable[[], Daemon]) -> None:
    """RDY goes round: all are emptied by a consumer that may have one message at a time."""
    nsqds = [start() for _ in range(3)]
    for nsqd in nsqds:
        await fill(nsqd, "t", *[b"x"] * 5)
    seen: Counter[str] = Counter()
    consumer = Consumer(
        "t",
        "c",
        lambda message: seen.update([message.nsqd_address]),
        nsqd_tcp_addresses=[nsqd.tcp_address for nsqd in nsqds],
        max_in_flight=1,
        low_rdy_idle_timeout=0.1,
        low_rdy_timeout=0.3,
        rdy_redistribute_interval=0.05,
    )
    async with consumer:
        await eventually_async(lambda: seen == dict.fromkeys((nsqd.tcp_address for nsqd in nsqds), 5))
        assert sum(connection.rdy for connection in consumer.stats.connections) <= 1
        consumer.set_max_in_flight(30)
        await eventually_async(lambda: [each.rdy for each in consumer.stats.connections] == [10, 10, 10])


async def test_producers_find_nsqds_and_keep_to_one_for_a_key(
    lookupd: Daemon, start: Callable[[], Daemon]
) -> None:
    nsqds = [start(), start()]
    addresses = {nsqd.tcp_address for nsqd in nsqds}
    seen: set[tuple[str, bytes]] = set()
    options: dict[str, Any] = {"lookupd_http_addresses": [lookupd.http_address], **POLLING}
    async with Producer(**options) as producer:
        await eventually_async(lambda: set(producer.stats.connected) == addresses)
        for number in range(20):
            await producer.publish("t", b"for anna", key=b"anna")
            await producer.publish("t", b"for anybody %d" % number)
        async with Consumer("t", "c", lambda m: seen.add((m.nsqd_address, m.body)), **options) as consumer:
            await eventually_async(lambda: consumer.stats.finished == 40)
    assert len([body for _, body in seen if body == b"for anna"]) == 1
    assert {address for address, body in seen if body != b"for anna"} == addresses


async def test_advertised_addresses_are_mapped(lookupd: Daemon, start: Callable[[], Daemon]) -> None:
    nsqd = start()
    await fill(nsqd, "t", b"x")
    port = nsqd.tcp_address.rpartition(":")[2]
    options: dict[str, Any] = {
        "lookupd_http_addresses": [lookupd.http_address],
        "address_map": {nsqd.tcp_address: f"localhost:{port}"},
        **POLLING,
    }
    async with Consumer("t", "c", **options) as consumer, Producer(**options) as producer:
        message = await asyncio.wait_for(anext(aiter(consumer)), 15)
        assert message.nsqd_address == f"localhost:{port}"
        message.finish()
        await producer.publish("t", b"y")
        assert producer.stats.connected == (f"localhost:{port}",)


async def test_iterators_go_on_over_a_restart_and_new_nsqds(
    lookupd: Daemon, start: Callable[[], Daemon]
) -> None:
    first = start()
    await fill(first, "t", b"1", b"2")
    options: dict[str, Any] = {"lookupd_http_addresses": [lookupd.http_address], **QUICK, **POLLING}
    async with Consumer("t", "c", max_in_flight=10, **options) as consumer:
        batch = await asyncio.wait_for(anext(consumer.batches(max_messages=2, max_wait=60.0)), 15)  # type: ignore[arg-type]
        assert sorted(message.body for message in batch) == [b"1", b"2"]
        assert batch.finish()
        first.stop()
        first.start()
        await fill(start(), "t", b"3")
        await fill(first, "t", b"4")
        bodies = set()
        async for message in consumer:
            message.finish()
            bodies.add(message.body)
            if bodies >= {b"3", b"4"}:
                break
    assert bodies <= {b"1", b"2", b"3", b"4"}


async def test_a_tombstoned_nsqd_is_not_looked_for(lookupd: Daemon, start: Callable[[], Daemon]) -> None:
    left, kept = start(), start()
    for nsqd in (left, kept):
        await fill(nsqd, "t", nsqd.tcp_address.encode())
    await eventually_async(
        lambda: (
            post(
                lookupd.http_address,
                f"/topic/tombstone?topic=t&node=127.0.0.1:{left.http_address.split(':')[1]}",
            ).status
            == 200
        )
    )
    seen: list[bytes] = []
    options: dict[str, Any] = {"lookupd_http_addresses": [lookupd.http_address], **POLLING}
    async with Consumer("t", "c", lambda message: seen.append(message.body), **options) as consumer:
        await eventually_async(lambda: seen)
        assert [each.address for each in consumer.stats.connections] == [kept.tcp_address]
    assert seen == [kept.tcp_address.encode()]
