"""Consumers that find their nsqds by nsqlookupd (C-CLI-22, C-CLI-24)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compat.threaded import ThreadedNsqlookupd
from harness.consuming import Subject
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd
from harness.wire import LookupWire
from nsqgw.errors import NotConnected
from nsqgw.instrument import LookupFailed

POLLING: dict[str, Any] = {"lookupd_poll_interval": 0.05, "lookupd_poll_jitter": 0.0}


def nothing(message: object) -> None:
    pass


def consumer_by(lookupd: ThreadedNsqlookupd, **options: Any) -> Subject:
    return Subject(nothing, lookupd_http_addresses=[lookupd.http_address], **(POLLING | options))


def announce(lookupd: ThreadedNsqlookupd, fake: ScriptedNsqd, topic: str = "t") -> LookupWire:
    """Register the scripted nsqd as a producer of the topic; closing the wire takes it back."""
    wire = LookupWire(lookupd.tcp_address)
    host, port = fake.address.rsplit(":", 1)
    wire.identify(broadcast_address=host, tcp_port=int(port), http_port=1)
    assert wire.ask(f"REGISTER {topic}") == b"OK"
    return wire


async def test_c_cli_22_an_unknown_topic_is_no_failure(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd
) -> None:
    async with consumer_by(nsqlookupd) as consumer:
        with pytest.raises(NotConnected) as caught:
            await consumer.wait_connected(0.3)
        assert f"nsqlookupd at {nsqlookupd.http_address} knows no nsqd with topic 't'" in str(caught.value)
        assert consumer.told(LookupFailed) == []
        with announce(nsqlookupd, fake):
            await consumer.wait_connected(10)


async def test_c_cli_24_a_vanished_nsqd_keeps_its_living_connection(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd
) -> None:
    async with consumer_by(nsqlookupd) as consumer:
        with announce(nsqlookupd, fake):
            session = await fake.subscribed()
        await eventually_async(
            lambda: not consumer._topics._sources["t"]._found, what="the poll no longer names it"
        )
        session.deliver(1)
        await session.received("FIN")
        assert not session.ended
        # Lost now, it is not tried again: nobody names it.
        session.drop()
        await eventually_async(lambda: consumer._topics.addresses == ())
        assert len(fake.sessions) == 1
        with announce(nsqlookupd, fake):
            await fake.subscribed(1)


async def test_an_nsqd_named_twice_is_connected_once(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd
) -> None:
    with announce(nsqlookupd, fake):
        async with consumer_by(nsqlookupd, nsqd_tcp_addresses=[fake.address, fake.address]) as consumer:
            await eventually_async(lambda: consumer._topics._sources["t"]._found)
            await fake.subscribed()
            await asyncio.sleep(0.1)
            assert len(fake.sessions) == 1


async def test_a_dead_nsqlookupd_is_told_and_does_not_hold_up_the_rest(fake: ScriptedNsqd) -> None:
    options = POLLING | {"lookupd_http_addresses": ["127.0.0.1:1"]}
    async with Subject(nothing, fake, **options) as consumer:
        await consumer.wait_connected(10)
        await eventually_async(lambda: consumer.told(LookupFailed))
        assert consumer.told(LookupFailed)[0].address == "127.0.0.1:1"
