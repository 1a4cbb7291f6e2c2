"""Producers that find their nsqds by nsqlookupd: all that are alive, whatever topics they have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compat.threaded import ThreadedNsqlookupd
from harness.announcing import announce
from harness.polling import eventually_async
from harness.scripted import QUICK, ScriptedNsqd
from nsqgw import Producer
from nsqgw.errors import NotConnected
from nsqgw.instrument import ConnectFailed, Fact, LookupFailed

POLLING: dict[str, Any] = {"lookupd_poll_interval": 0.05, "lookupd_poll_jitter": 0.0}


def producer_by(lookupd: ThreadedNsqlookupd, *nsqds: str, **options: Any) -> Producer:
    options = QUICK | POLLING | {"on_fact": lambda fact: None} | options
    return Producer(nsqds, lookupd_http_addresses=[lookupd.http_address], **options)


async def test_found_and_given_together_and_one_that_comes_later(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd
) -> None:
    async with ScriptedNsqd() as given, ScriptedNsqd() as later:
        async with producer_by(nsqlookupd, given.address) as producer:
            with announce(nsqlookupd, fake, topic=None), announce(nsqlookupd, given):
                await eventually_async(lambda: set(producer.stats.connected) == {fake.address, given.address})
                with announce(nsqlookupd, later):
                    await eventually_async(lambda: len(producer.stats.connected) == 3)
                    for _ in range(6):
                        await producer.publish("new", b"x")
        assert [len(one.sessions) for one in (fake, given, later)] == [1, 1, 1]
        assert [len(one.sessions[0].lines("PUB")) for one in (fake, given, later)] == [2, 2, 2]


async def test_one_that_vanished_is_used_while_it_is_alive(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd
) -> None:
    async with producer_by(nsqlookupd) as producer:
        with announce(nsqlookupd, fake):
            await producer.wait_connected(10)
        await asyncio.sleep(4 * POLLING["lookupd_poll_interval"])  # polls that do not name it any more
        await producer.publish("t", b"x")
        assert len(fake.sessions) == 1


async def test_an_address_map_says_how_to_reach_them(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd
) -> None:
    with announce(nsqlookupd, fake, host="nsqd.invalid"):
        async with producer_by(nsqlookupd, address_map={"nsqd.invalid": "127.0.0.1"}) as producer:
            await producer.publish("t", b"x", timeout=10.0)
            assert producer.stats.connected == (fake.address,)


async def test_nobody_known_and_nobody_to_ask(nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd) -> None:
    async with producer_by(nsqlookupd) as producer:
        with pytest.raises(NotConnected) as caught:
            await producer.publish("t", b"x", timeout=0.3)
        assert f"nsqlookupd at {nsqlookupd.http_address} knows no nsqd" in str(caught.value)
    facts: list[Fact] = []
    nsqlookupd.stop()
    async with producer_by(nsqlookupd, fake.address, on_fact=facts.append) as producer:
        await producer.publish("t", b"x")
        await eventually_async(lambda: any(isinstance(fact, LookupFailed) for fact in facts))
        assert not any(isinstance(fact, ConnectFailed) for fact in facts)
