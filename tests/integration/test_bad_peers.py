"""Peers that are no nsqd: a typed fact for each, bounded memory, and the others are served all the same."""

from __future__ import annotations

import contextlib

import pytest

from compat.threaded import ThreadedNsqd
from harness import peers
from harness.polling import eventually_async
from nsqgw import Consumer, Message, Producer
from nsqgw.config import ConnectionConfig
from nsqgw.errors import (
    ConnectionClosed,
    ConnectionFailed,
    DeadlineExceeded,
    FrameTooBig,
    NotConnected,
    NotNSQ,
    NSQError,
    ProtocolError,
)
from nsqgw.instrument import ConnectFailed, Disconnected, Fact

SOCKET_BUFFERS = 32 * 1024 * 1024
"""What the system may take on its own from a peer that floods, before the client closes."""

IMPATIENT = ConnectionConfig(connect_timeout=0.3)

CONDUCTS = [
    (peers.http, NotNSQ),
    (peers.garbage, ProtocolError),
    (peers.garbage_after_handshake, ProtocolError),
    (peers.short_message, ProtocolError),
    (peers.silence, (DeadlineExceeded, ConnectionFailed)),
    (peers.hang_up, (ConnectionClosed, ConnectionFailed)),
]


def errors_of(facts: list[Fact], address: str) -> list[NSQError]:
    """What went wrong with the peer at `address`."""
    return [
        fact.error
        for fact in facts
        if isinstance(fact, ConnectFailed | Disconnected)
        and fact.address == address
        and fact.error is not None
    ]


@pytest.mark.parametrize(("conduct", "expected"), CONDUCTS, ids=lambda value: getattr(value, "__name__", ""))
async def test_consumer_carries_on_with_the_others(
    nsqd: ThreadedNsqd, conduct: peers.Conduct, expected: type[NSQError]
) -> None:
    facts: list[Fact] = []
    bodies: list[bytes] = []

    def handle(message: Message) -> None:
        bodies.append(message.body)

    async with peers.serving(conduct) as bad:
        options = {"on_fact": facts.append, "connection": IMPATIENT}
        sources = [bad, nsqd.tcp_address]
        async with (
            Consumer("t", "ch", handle, nsqd_tcp_addresses=sources, **options),
            Producer([nsqd.tcp_address]) as producer,
        ):
            for number in range(10):
                await producer.publish("t", b"%d" % number)
            await eventually_async(lambda: len(bodies) == 10)
            (error, *_) = await eventually_async(lambda: errors_of(facts, bad))
            assert isinstance(error, expected), error
            assert bad in str(error)
            await producer.publish("t", b"after")
            await eventually_async(lambda: bodies[-1] == b"after")


@pytest.mark.parametrize("after_handshake", [False, True])
async def test_a_frame_of_2_gib_is_refused_unread(nsqd: ThreadedNsqd, after_handshake: bool) -> None:
    facts: list[Fact] = []
    flood = peers.Flood(after_handshake)
    async with peers.serving(flood) as bad:
        options = {"on_fact": facts.append, "reconnect_min_delay": 60.0, "reconnect_max_delay": 60.0}
        async with Consumer("t", "ch", nsqd_tcp_addresses=[bad, nsqd.tcp_address], **options) as consumer:
            (error, *_) = await eventually_async(lambda: errors_of(facts, bad))
            assert isinstance(error, FrameTooBig)
            assert flood.sent < SOCKET_BUFFERS
            await consumer.wait_connected(15)


@pytest.mark.parametrize(("conduct", "expected"), CONDUCTS, ids=lambda value: getattr(value, "__name__", ""))
async def test_producer_publishes_to_the_others(
    nsqd: ThreadedNsqd, conduct: peers.Conduct, expected: type[NSQError]
) -> None:
    facts: list[Fact] = []
    async with peers.serving(conduct) as bad:
        sources = [bad, nsqd.tcp_address]
        async with Producer(sources, on_fact=facts.append, connection=IMPATIENT) as producer:
            published = 0
            while published < 20:
                # A peer that turns bad only later may take a publish with it; that one raises.
                with contextlib.suppress(NSQError):
                    await producer.publish("t", b"x")
                    published += 1
            (error, *_) = await eventually_async(lambda: errors_of(facts, bad))
            assert isinstance(error, expected)


async def test_alone_with_a_bad_peer_the_reason_is_told() -> None:
    async with peers.serving(peers.http) as bad:
        facts: list[Fact] = []
        async with Consumer("t", "ch", nsqd_tcp_addresses=[bad], on_fact=facts.append) as consumer:
            with pytest.raises(NotConnected, match=bad):
                await consumer.wait_connected(1)
        async with Producer([bad], on_fact=facts.append, publish_timeout=0.5) as producer:
            with pytest.raises(NotConnected, match=bad):
                await producer.publish("t", b"x")
