"""Consumers and producers that hear of nsqds by a feed: at once, and never worse off than by polling."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from harness.announcing import announce
from harness.daemons import Daemon
from harness.embedded import EmbeddedNsqd, EmbeddedNsqlookupd
from harness.http import post
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd
from nsqgw import BlockingProducer, Consumer, Message, Producer
from nsqgw.consumer.topology_topic import TopologyTopic
from nsqgw.errors import ConfigError, DiscoveryError
from nsqgw.instrument import Connected, Disconnected, Fact, LookupFailed

RARELY = 3600.0
"""A poll interval whose end no scene lives to see: what is found meanwhile, a feed has brought."""


@contextmanager
def running(daemon: Any) -> Iterator[Any]:
    daemon.start()
    with closing(daemon):
        yield daemon


def following(lookupd: Daemon, handler: Any, topic: str = "t", **settings: Any) -> Consumer:
    return Consumer(
        topic,
        "ch",
        handler,
        lookupd_http_addresses=[lookupd.http_address],
        topology_http_addresses=[lookupd.http_address],
        **{"lookupd_poll_interval": RARELY, "lookupd_poll_jitter": 0.0} | settings,
    )


async def test_a_new_nsqd_is_consumed_without_a_poll() -> None:
    got: list[bytes] = []

    def handle(message: Message) -> None:
        got.append(message.body)

    with running(EmbeddedNsqlookupd()) as lookupd:
        async with following(lookupd, handle) as consumer:
            with running(EmbeddedNsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))) as nsqd:
                await asyncio.to_thread(post, nsqd.http_address, "/topic/create?topic=t")
                await consumer.wait_connected(10)
                async with Producer([nsqd.tcp_address]) as producer:
                    await producer.publish("t", b"hello")
                await eventually_async(lambda: got == [b"hello"])
                await consumer.stop()


async def test_a_topic_that_a_pattern_matches_is_joined_without_a_poll() -> None:
    with running(EmbeddedNsqlookupd()) as lookupd:
        async with following(lookupd, print, "logs.*"), ScriptedNsqd() as fake:
            wire = await asyncio.to_thread(announce, lookupd, fake, "logs.web")
            with wire:
                assert (await fake.subscribed()).lines("SUB") == ["SUB logs.web ch"]


def test_a_blocking_producer_uses_a_new_nsqd_without_a_poll() -> None:
    with running(EmbeddedNsqlookupd()) as lookupd:
        addresses = [lookupd.http_address]
        with (
            BlockingProducer(
                lookupd_http_addresses=iter(addresses),
                topology_http_addresses=iter(addresses),
                lookupd_poll_interval=RARELY,
            ) as producer,
            running(EmbeddedNsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))),
        ):
            producer.publish("t", b"hello")


async def test_a_producer_uses_a_new_nsqd_without_a_poll() -> None:
    with running(EmbeddedNsqlookupd()) as lookupd:
        addresses = [lookupd.http_address]
        producer = Producer(
            lookupd_http_addresses=addresses, topology_http_addresses=addresses, lookupd_poll_interval=RARELY
        )
        async with producer:
            with running(EmbeddedNsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))):
                await producer.publish("t", b"hello")


async def test_a_node_that_is_down_for_the_feed_keeps_its_living_connection() -> None:
    """Its connection to nsqlookupd broke; ours did not."""
    facts: list[Fact] = []
    with running(EmbeddedNsqlookupd()) as lookupd:
        async with (
            following(lookupd, print, on_fact=facts.append),
            ScriptedNsqd() as fake,
            ScriptedNsqd() as next_one,
        ):
            wire = await asyncio.to_thread(announce, lookupd, fake)
            await fake.subscribed()
            wire.close()
            with await asyncio.to_thread(announce, lookupd, next_one):
                await next_one.subscribed()  # the feed went on behind the node's end
                assert not [fact for fact in facts if isinstance(fact, Disconnected)]


async def test_without_its_feed_a_consumer_is_where_polling_is() -> None:
    """An nsqlookupd without a stream, as the original: told once in a while, and polled as ever."""
    facts: list[Fact] = []
    with running(EmbeddedNsqlookupd()) as lookupd:
        async with ScriptedNsqd() as fake:
            consumer = Consumer(
                "t",
                "ch",
                print,
                lookupd_http_addresses=[lookupd.http_address],
                topology_http_addresses=[f"http://{lookupd.http_address}/nothing/here"],
                lookupd_poll_interval=0.05,
                on_fact=facts.append,
            )
            async with consumer:
                await eventually_async(lambda: any(isinstance(fact, LookupFailed) for fact in facts))
                with await asyncio.to_thread(announce, lookupd, fake):
                    await fake.subscribed()
    (failed,) = [fact.error for fact in facts if isinstance(fact, LookupFailed)][:1]
    assert isinstance(failed, DiscoveryError)
    assert "404" in str(failed)
    assert "nsqgw topology" in str(failed)


async def test_a_feed_that_was_away_comes_back_with_what_was_missed() -> None:
    lookupd = EmbeddedNsqlookupd()
    with running(lookupd):
        async with following(lookupd, print), ScriptedNsqd() as first, ScriptedNsqd() as second:
            with await asyncio.to_thread(announce, lookupd, first):
                await first.subscribed()
                await asyncio.to_thread(lookupd.stop)
                await asyncio.to_thread(lookupd.start)
            with await asyncio.to_thread(announce, lookupd, second):
                await second.subscribed()


@pytest.mark.parametrize("wrong", ["", "127.0.0.1", "ftp://host:1"])
def test_addresses_of_feeds_are_checked(wrong: str) -> None:
    with pytest.raises(ConfigError, match="topology address"):
        Consumer("t", "c", print, nsqd_tcp_addresses=["127.0.0.1:1"], topology_http_addresses=[wrong])


async def test_connected_is_told_of_a_node_the_feed_brought() -> None:
    facts: list[Fact] = []
    with running(EmbeddedNsqlookupd()) as lookupd:
        async with following(lookupd, print, on_fact=facts.append) as consumer, ScriptedNsqd() as fake:
            with await asyncio.to_thread(announce, lookupd, fake):
                await consumer.wait_connected(10)
    assert Connected(fake.address, "t", "ch") in facts


async def test_the_feed_may_come_over_a_topic() -> None:
    with (
        running(EmbeddedNsqlookupd(topology_topic="changes")) as lookupd,
        running(EmbeddedNsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))) as nsqd,
    ):
        feed = TopologyTopic("changes", nsqd_tcp_addresses=[nsqd.tcp_address])
        async with feed, ScriptedNsqd() as fake:
            await feed.wait_connected(10)
            async with Producer([nsqd.tcp_address]) as producer:
                await producer.publish("changes", b"no event")
            lookupds = [lookupd.http_address]
            consumer = Consumer(
                "t",
                "ch",
                print,
                lookupd_http_addresses=lookupds,
                topology_feed=feed,
                lookupd_poll_interval=RARELY,
            )
            async with consumer:
                with await asyncio.to_thread(announce, lookupd, fake):
                    await consumer.wait_connected(10)
