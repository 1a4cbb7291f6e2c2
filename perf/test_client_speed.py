"""Clients against an nsqd in another process: consuming a channel, publishing; 10,000 messages a round."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from harness.real import RealNsqd
from nsqgw import Batch, Consumer, Message, Producer
from perf.load import BODY_SIZE, drop, fill

COUNT = 10_000
ROUNDS = 5
BODY = b"x" * BODY_SIZE

_names = (f"bench-{number}" for number in itertools.count())


class Counter:
    """Sets `done` when all messages of a round have come."""

    def __init__(self) -> None:
        self.seen = 0
        self.done = asyncio.Event()

    def add(self, count: int) -> None:
        self.seen += count
        if self.seen >= COUNT:
            self.done.set()


async def consume_sync(broker: RealNsqd, topic: str) -> None:
    counter = Counter()
    sources = [broker.tcp_address]
    handle = lambda message: counter.add(1)  # noqa: E731
    async with Consumer(topic, "ch", handle, nsqd_tcp_addresses=sources, max_in_flight=2500):
        await counter.done.wait()


async def consume_async(broker: RealNsqd, topic: str) -> None:
    counter = Counter()

    async def handle(message: Message) -> None:
        counter.add(1)

    sources = [broker.tcp_address]
    async with Consumer(topic, "ch", handle, nsqd_tcp_addresses=sources, max_in_flight=2500):
        await counter.done.wait()


async def consume_batches(broker: RealNsqd, topic: str) -> None:
    counter = Counter()

    def handle(batch: Batch) -> None:
        counter.add(len(batch))

    sources = [broker.tcp_address]
    async with Consumer(topic, "ch", batch_handler=handle, nsqd_tcp_addresses=sources, max_in_flight=2500):
        await counter.done.wait()


async def consume_iterating(broker: RealNsqd, topic: str) -> None:
    sources = [broker.tcp_address]
    seen = 0
    async with Consumer(topic, "ch", nsqd_tcp_addresses=sources, max_in_flight=2500) as consumer:
        async for message in consumer:
            message.finish()
            seen += 1
            if seen == COUNT:
                break


async def publish_window(broker: RealNsqd, topic: str) -> None:
    async with Producer([broker.tcp_address]) as producer:
        for _ in range(COUNT // 1000):
            await asyncio.gather(*[producer.publish_soon(topic, BODY) for _ in range(1000)])


async def publish_batches(broker: RealNsqd, topic: str) -> None:
    async with Producer([broker.tcp_address]) as producer:
        for _ in range(COUNT // 100):
            await producer.publish_many(topic, [BODY] * 100)


@pytest.mark.parametrize("consume", [consume_sync, consume_async, consume_batches, consume_iterating])
def test_consume(
    benchmark: BenchmarkFixture, broker: RealNsqd, consume: Callable[[RealNsqd, str], Awaitable[None]]
) -> None:
    made: list[str] = []

    def setup() -> tuple[tuple[str], dict[str, object]]:
        made.append(next(_names))
        fill(broker, made[-1], "ch", COUNT)
        return (made[-1],), {}

    benchmark.pedantic(lambda topic: asyncio.run(consume(broker, topic)), setup=setup, rounds=ROUNDS)
    for topic in made:
        drop(broker, topic)


@pytest.mark.parametrize("publish", [publish_window, publish_batches])
def test_publish(
    benchmark: BenchmarkFixture, broker: RealNsqd, publish: Callable[[RealNsqd, str], Awaitable[None]]
) -> None:
    topic = next(_names)
    benchmark.pedantic(lambda: asyncio.run(publish(broker, topic)), rounds=ROUNDS)
    drop(broker, topic)
