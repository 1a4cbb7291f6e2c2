"""Perl and Python hand each other messages, in both directions, over the original daemons and ours.

The Perl programs (tests/perl) come in two sets: on core modules only, and on AnyEvent. MessagePack is of the
second set only: Perl's core has none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from compat.perl import Condvar, Reader, Writer
from harness.daemons import Daemon
from harness.http import channel_stats, get, post
from harness.perl import perl, require_perl
from harness.polling import eventually
from nsqgw import Consumer, Producer
from nsqgw.deadline import within

TEXT = "Grüße, 世界 \u2013 ½ €"
DOCUMENT = {"name": TEXT, "list": [1, 2.5, "x"], "yes": True, "none": None}

BODIES: dict[str, bytes] = {
    "bytes": bytes(range(256)),
    "text": TEXT.encode(),
    "json": json.dumps(DOCUMENT).encode(),
    "msgpack": msgpack.packb(DOCUMENT),
}
"""What Python publishes, by coding."""

READ: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "text": bytes.decode,
    "json": json.loads,
    "msgpack": msgpack.unpackb,
}
"""How Python reads a body, by coding."""

SETS = [("core", coding) for coding in ("bytes", "text", "json")] + [
    ("anyevent", coding) for coding in BODIES
]
both_sets = pytest.mark.parametrize(("programs", "coding"), SETS)


def require(programs: str, coding: str) -> None:
    modules = ["AnyEvent::Handle", "JSON::XS"] if programs == "anyevent" else []
    require_perl(*modules, *(["Data::MessagePack"] if coding == "msgpack" else []))


async def read_by_consumer(address: str, topic: str, count: int) -> list[bytes]:
    """So many bodies, through our consumer."""
    bodies: list[bytes] = []
    async with Consumer(topic, "consumer", nsqd_tcp_addresses=[address]) as consumer:
        async for message in consumer:
            message.finish()
            bodies.append(message.body)
            if len(bodies) == count:
                break
    return bodies


async def read_by_reader(address: str, topic: str, count: int) -> list[bytes]:
    """The same through the Reader that is shaped as Perl's."""
    bodies: list[bytes] = []
    done = Condvar()

    def received(reader: Reader, message: Any) -> None:
        reader.mark_as_done_msg(message)
        bodies.append(message["message"])
        if len(bodies) == count:
            done.send()

    async with Reader(topic=topic, channel="reader", nsqd_tcp_addresses=address, message_cb=received):
        await done
    return bodies


async def publish_by_both(address: str, topic: str, body: bytes) -> None:
    """One message from our producer, one from the Writer that is shaped as Perl's."""
    async with Producer([address]) as producer:
        await producer.publish(topic, body)
    done = Condvar()
    async with Writer(
        nsqd_tcp_addresses=address,
        identify_cb=lambda writer, *_: writer.publish(topic, body, lambda *_: done.send()),
    ):
        await done


@both_sets
async def test_perl_publishes(broker: Daemon, topic: str, programs: str, coding: str) -> None:
    require(programs, coding)
    post(broker.http_address, f"/topic/create?topic={topic}")
    for channel in ("consumer", "reader"):  # each is to get a copy
        post(broker.http_address, f"/channel/create?topic={topic}&channel={channel}")
    await asyncio.to_thread(perl, f"{programs}_publish.pl", broker.tcp_address, topic, coding)
    reading = asyncio.gather(
        read_by_consumer(broker.tcp_address, topic, 3), read_by_reader(broker.tcp_address, topic, 3)
    )
    for bodies in await within(15, reading):
        assert [READ[coding](body) for body in bodies] == [READ[coding](BODIES[coding])] * 3


@both_sets
async def test_perl_subscribes(broker: Daemon, topic: str, programs: str, coding: str) -> None:
    require(programs, coding)
    await publish_by_both(broker.tcp_address, topic, BODIES[coding])
    program = f"{programs}_subscribe.pl"
    told = await asyncio.to_thread(perl, program, broker.tcp_address, topic, "perl", coding, "2")
    document = READ[coding](BODIES[coding])
    expected = document.hex() if coding == "bytes" else document
    assert [json.loads(line) for line in told.splitlines()] == [expected] * 2
    stats = channel_stats(broker.http_address, topic, "perl")
    assert (stats["depth"], stats["in_flight_count"], stats["requeue_count"]) == (0, 0, 2)


@pytest.mark.parametrize("coding", ["bytes", "text", "json"])
async def test_perl_publishes_by_http(broker: Daemon, topic: str, coding: str) -> None:
    require_perl()
    await asyncio.to_thread(perl, "core_http.pl", "publish", broker.http_address, topic, coding)
    bodies = await within(15, read_by_consumer(broker.tcp_address, topic, 3))
    assert [READ[coding](body) for body in bodies] == [READ[coding](BODIES[coding])] * 3


async def test_perl_publishes_lines_by_http(broker: Daemon, topic: str) -> None:
    require_perl()
    await asyncio.to_thread(perl, "core_http.pl", "lines", broker.http_address, topic)
    bodies = await within(15, read_by_consumer(broker.tcp_address, topic, 2))
    assert sorted(bodies) == [b"one", b"two"]


def test_perl_asks_nsqlookupd(
    start_nsqlookupd: Callable[..., Daemon], start_nsqd: Callable[..., Daemon]
) -> None:
    require_perl()
    lookupd = start_nsqlookupd()
    nsqd = start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))
    perl("core_publish.pl", nsqd.tcp_address, "t", "text")
    eventually(lambda: get(lookupd.http_address, "/lookup?topic=t").status == 200)
    assert perl("core_http.pl", "lookup", lookupd.http_address, "t").split() == [nsqd.tcp_address]
