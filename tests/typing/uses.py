"""What type checkers make of the public API: mypy reads this file, nobody runs it.

`assert_type` says what a use gives; a line with `type: ignore` is a mistake that must be found.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future

from typing_extensions import assert_type

import nsqgw
from nsqgw import (
    Batch,
    BlockingProducer,
    ConnectionConfig,
    Consumer,
    ConsumerConfig,
    FailureRule,
    Message,
    NsqHandler,
    Producer,
    ProducerConfig,
    TlsConfig,
    errors,
)
from nsqgw.http import LookupdHttp, NsqdHttp, NsqdHttpAsync
from nsqgw.http.results import NsqdStats
from nsqgw.instrument import Connected, Fact, tee, to_logging
from nsqgw.message import Answer


def sync_handler(message: Message) -> None:
    assert_type(message.body, bytes)
    assert_type(message.attempts, int)
    assert_type(message.finish(), Answer)
    message.requeue(delay=1.5, backoff=False)
    message.requeue("soon")  # type: ignore[arg-type]
    message.body = "text"  # type: ignore[assignment]


async def async_handler(message: Message) -> int:
    assert_type(await message.touch(), bool)
    return 1


def batch_handler(messages: Sequence[Message]) -> None:
    for message in messages:
        message.finish()


def on_fact(fact: Fact) -> None:
    if isinstance(fact, Connected):
        assert_type(fact.topic, str | None)


async def consuming() -> None:
    rules = {ValueError: FailureRule(give_up=True)}
    Consumer("t", "c", sync_handler, nsqd_tcp_addresses=["n:4150"], failure_rules=rules, on_fact=on_fact)
    Consumer(["t", "logs.*"], "c", async_handler, lookupd_http_addresses=("l:4161",), max_in_flight=5)
    Consumer("t", "c", batch_handler=batch_handler, config=ConsumerConfig(threads=4))
    Consumer("t", "c", failure_rules={ValueError: True})  # type: ignore[dict-item]
    Consumer("t")  # type: ignore[call-arg]
    Consumer(b"t", 5)  # type: ignore[arg-type]
    Consumer("t", "c", config=ProducerConfig())  # type: ignore[arg-type]
    async with Consumer("t", "c", on_fact=tee(on_fact, to_logging)) as consumer:
        assert_type(consumer, Consumer)
        assert_type(consumer.is_starved, bool)
        assert_type(consumer.stats.finished, int)
        async for message in consumer:
            assert_type(message, Message)
        batches = consumer.batches(max_messages=10)
        assert_type(batches, AsyncIterator[Batch])
        async for batch in batches:
            assert_type(batch[0], Message)
            assert_type(batch.finish(), Answer)


async def publishing(context: ssl.SSLContext) -> None:
    connection = ConnectionConfig(tls=context, snappy=True, auth_secret=b"secret")
    ConnectionConfig(tls=TlsConfig(ca_file="ca.pem"))
    ConnectionConfig(heartbeat="often")  # type: ignore[call-arg]
    ConnectionConfig(heartbeat_interval="often")  # type: ignore[arg-type]
    async with Producer(["n:4150"], connection=connection) as producer:
        await producer.publish("t", b"x", delay=1.0, key=b"k")
        await producer.publish("t", "text")  # type: ignore[arg-type]
        await producer.publish_many("t", [b"a", b"b"])
        assert_type(producer.publish_soon("t", b"x"), asyncio.Future[None])
        assert_type(producer.stats.connected, tuple[str, ...])


def without_a_loop() -> None:
    nsqgw.publish("t", b"x", timeout=1.0)
    nsqgw.publish("t", "text")  # type: ignore[arg-type]
    with BlockingProducer(["n:4150"]) as producer:
        assert_type(producer.publish_soon("t", b"x"), Future[None])
    assert isinstance(NsqHandler("t"), logging.Handler)
    try:
        nsqgw.publish("t", b"x")
    except errors.HttpError as error:
        assert_type(error.status, int)
    except errors.ServerError as error:
        assert_type((error.code, error.nsqd_address), tuple[str, str | None])


async def asking() -> None:
    with NsqdHttp("n:4151") as nsqd, LookupdHttp("l:4161") as lookupd:
        assert_type(nsqd.stats("t"), NsqdStats)
        assert_type(lookupd.topics(), tuple[str, ...])
    async with NsqdHttpAsync("n:4151") as client:
        assert_type(await client.stats(), NsqdStats)
