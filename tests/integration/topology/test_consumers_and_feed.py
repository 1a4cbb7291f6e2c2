"""Consumers and producers that hear of nsqds by a feed: at once, and never worse off than by polling."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager

from harness.daemons import Daemon
from harness.embedded import EmbeddedNsqd, EmbeddedNsqlookupd
from harness.http import post
from harness.polling import eventually_async
from nsqgw import Consumer, Message, Producer
from nsqgw.instrument import Connected, Fact

RARELY = 3600.0
"""A poll interval that no scene lives to see the end of."""


@contextmanager
def running(daemon: Daemon) -> Iterator[Daemon]:
    daemon.start()
    with closing(daemon):
        yield daemon


def questions(lookupd: Daemon, path: str) -> int:
    raise NotImplementedError


async def test_a_new_nsqd_is_consumed_without_a_poll() -> None:
    got: list[bytes] = []
    facts: list[Fact] = []

    async def handle(message: Message) -> None:
        got.append(message.body)

    with running(EmbeddedNsqlookupd()) as lookupd:
        consumer = Consumer(
            "events",
            "ch",
            handle,
            lookupd_http_addresses=[lookupd.http_address],
            topology_http_addresses=[lookupd.http_address],
            lookupd_poll_interval=RARELY,
            on_fact=facts.append,
        )
        async with consumer:
            with running(EmbeddedNsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))) as nsqd:
                await asyncio.to_thread(post, nsqd.http_address, "/topic/create?topic=events")
                await consumer.wait_connected(10)
                async with Producer([nsqd.tcp_address]) as producer:
                    await producer.publish("events", b"hello")
                await eventually_async(lambda: got == [b"hello"])
                await consumer.stop()
    assert Connected(nsqd.tcp_address, "events", "ch") in facts
