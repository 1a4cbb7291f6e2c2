"""Our consumer and producer with compression, on our nsqd and the original: bodies come as they went."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.daemons import Daemon
from harness.polling import eventually_async
from nsqgw import Consumer, Message, Producer
from nsqgw.config import ConnectionConfig

SIZES = (1, 63, 200, 4096, 65536, 200_000, 1_000_000)


@pytest.mark.parametrize("compression", ["deflate", "snappy"])
async def test_bodies_come_as_they_went(start_nsqd: Callable[..., Daemon], compression: str) -> None:
    daemon = start_nsqd()
    sources = [daemon.tcp_address]
    connection = ConnectionConfig(**{compression: True})
    bodies = [bytes(range(256)) * (size // 256) + b"x" * (size % 256) for size in SIZES]
    seen: list[bytes] = []

    def handle(message: Message) -> None:
        seen.append(message.body)

    async with (
        Consumer("t", "ch", handle, nsqd_tcp_addresses=sources, connection=connection),
        Producer(sources, connection=connection) as producer,
    ):
        for body in bodies:
            await producer.publish("t", body)
        await producer.publish_many("t", bodies)
        await eventually_async(lambda: len(seen) == 2 * len(bodies), 30)
    assert sorted(seen) == sorted(2 * bodies)
