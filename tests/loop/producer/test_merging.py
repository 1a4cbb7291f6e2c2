"""Publishes of one turn merged into one MPUB: none is left behind, whatever happens to the batch."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.scripted import QUICK, ScriptedNsqd
from nsqgw import Producer
from nsqgw.errors import Closed, PublishError
from nsqgw.producer.merge import Merger


def merging(fake: ScriptedNsqd, **options: Any) -> Producer:
    return Producer([fake.address], **QUICK | {"on_fact": lambda fact: None, "merge": True} | options)


@pytest.mark.parametrize("connected", [True, False])
async def test_leaving_the_block_sends_what_was_collected(fake: ScriptedNsqd, connected: bool) -> None:
    async with merging(fake) as producer:
        if connected:
            await producer.wait_connected(5)
        futures = [producer.publish_soon(topic, b"x") for topic in ("a", "b", "a")]
    await asyncio.wait_for(asyncio.gather(*futures), 5)
    assert (await fake.session()).lines("MPUB") == ["MPUB a", "MPUB b"]


async def test_a_stopped_producer_says_so(fake: ScriptedNsqd) -> None:
    producer = merging(fake)
    with pytest.raises(Closed):
        producer.publish_soon("t", b"x")
    await producer.start()
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.sleep(0)
    with pytest.raises(Closed):
        producer.publish_soon("t", b"x")
    await stopping


async def test_what_sending_raises_fails_that_topic_only() -> None:
    def send(topic: str, bodies: list[bytes]) -> asyncio.Future[None]:
        if topic == "bad":
            raise PublishError("not this one")
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent

    merger = Merger(send, 1000)
    bad, worse, good = merger.add("bad", b"x"), merger.add("bad", b"y"), merger.add("good", b"z")
    await asyncio.wait_for(good, 5)
    for future in (bad, worse):
        with pytest.raises(PublishError, match="not this one"):
            await asyncio.wait_for(future, 5)
