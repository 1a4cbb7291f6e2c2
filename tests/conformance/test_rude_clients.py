"""Clients that do not read, do not answer, stop half-way or say nothing: the others notice nothing of them.

What is checked is what a healthy consumer gets meanwhile: every message, once, in the order it is published.
SILENT_CONNECTIONS is how many say nothing; `make soak` has 10,000 of them.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.daemons import Daemon
from harness.durable import nsqd_on
from harness.http import channel_stats, get, stats
from harness.polling import eventually
from harness.wire import LookupWire, Wire, sized

SILENT_CONNECTIONS = int(os.environ.get("SILENT_CONNECTIONS", "500"))
OF_EACH = 10
BODY = bytes(50_000)
MESSAGES = 300

BROKEN_OFF = {
    "magic": b"  ",
    "magic alone": b"  V2",
    "line": b"  V2SUB t",
    "size": b"  V2PUB t\n\0\0",
    "body": b"  V2PUB t\n\0\0\1\0half",
    "batch": b"  V2MPUB t\n\0\0\1\0\0\0\0\2\0\0\0\4body",
    "identify": b"  V2IDENTIFY\n\0\0\0\x20{",
    "upgrade": b"  V2IDENTIFY\n" + sized(b'{"feature_negotiation":true,"deflate":true}') + b"\x4a\xcc",
}
BROKEN_OFF_HTTP = {
    "request line": b"POST /pub?to",
    "head": b"POST /pub?topic=t HTTP/1.1\r\nHost: x\r\nContent-Le",
    "body": b"POST /pub?topic=t HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
    "chunk": b"POST /pub?topic=t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nhalf",
}

OpenSocket = Callable[[str], socket.socket]


@pytest.fixture
def open_socket() -> Iterator[OpenSocket]:
    """Opens connections that stay open until the end of the test."""
    with ExitStack() as opened:

        def open_one(address: str) -> socket.socket:
            host, _, port = address.rpartition(":")
            connection = socket.create_connection((host, int(port)), 15)
            return opened.enter_context(connection)

        yield open_one


def exchange(daemon: Daemon, topic: str, count: int = MESSAGES, body: bytes = b"") -> None:
    """So many messages to a consumer of `topic`, each once and in order."""
    with Wire(daemon.tcp_address) as producer, Wire(daemon.tcp_address) as consumer:
        consumer.subscribe(topic, "healthy", rdy=1)
        for number in range(count):
            sent = b"%d " % number + body
            producer.ok(b"PUB " + topic.encode(), sent)
            message = consumer.message()
            assert (message.body, message.attempts) == (sent, 1)
            consumer.finish(message.id)
        eventually(lambda: channel_stats(daemon.http_address, topic, "healthy")["in_flight_count"] == 0)
        assert channel_stats(daemon.http_address, topic, "healthy")["depth"] == 0


def stall(consumer: Wire, topic: str, channel: str) -> None:
    """Subscribe for 2500 messages and read nothing from then on."""
    consumer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    consumer.negotiate(heartbeat_interval=60_000)
    consumer.subscribe(topic, channel, rdy=2500)


def test_a_slow_socket_holds_up_no_other_channel(broker: Daemon, wire: Wire, topic: str) -> None:
    """More is published than a socket holds."""
    stall(wire, topic, "stalled")
    exchange(broker, topic, body=BODY)
    found = channel_stats(broker.http_address, topic, "stalled")
    assert found["depth"] > 0
    assert found["depth"] + found["in_flight_count"] == MESSAGES


def test_a_slow_socket_holds_up_no_other_consumer_of_its_channel(
    broker: Daemon, wire: Wire, topic: str
) -> None:
    """It keeps what it was sent; all the rest goes to the other."""
    stall(wire, topic, "ch")
    with Wire(broker.tcp_address) as lively, Wire(broker.tcp_address) as producer:
        for _ in range(MESSAGES):
            producer.ok(f"PUB {topic}".encode(), BODY)
        assert channel_stats(broker.http_address, topic, "ch")["depth"] > 0
        lively.subscribe(topic, "ch", rdy=10)
        while channel_stats(broker.http_address, topic, "ch")["depth"]:
            if not lively.is_silent(0.1):
                lively.finish(lively.message().id)


@pytest.mark.parametrize("where", BROKEN_OFF)
def test_what_breaks_off_harms_nobody(
    broker: Daemon, open_socket: OpenSocket, topic: str, where: str
) -> None:
    for _ in range(OF_EACH):
        open_socket(broker.tcp_address).sendall(BROKEN_OFF[where])
    exchange(broker, topic, 50)


@pytest.mark.parametrize("where", BROKEN_OFF_HTTP)
def test_requests_that_break_off_harm_nobody(
    broker: Daemon, open_socket: OpenSocket, topic: str, where: str
) -> None:
    for _ in range(OF_EACH):
        open_socket(broker.http_address).sendall(BROKEN_OFF_HTTP[where])
    exchange(broker, topic, 50)
    assert get(broker.http_address, "/ping").body == b"OK"


@pytest.mark.parametrize("sent", [b"", b"  V1", b"  V1IDENTIFY\n\0\0\0\x20{", b"  V1REGISTER t"])
def test_nsqds_that_break_off_hold_up_no_other_nsqd(
    start_nsqlookupd: Callable[..., Daemon], open_socket: OpenSocket, sent: bytes
) -> None:
    lookupd = start_nsqlookupd()
    for _ in range(OF_EACH):
        open_socket(lookupd.tcp_address).sendall(sent)
        open_socket(lookupd.http_address).sendall(b"GET /lookup?to")
    with LookupWire(lookupd.tcp_address) as nsqd:
        nsqd.identify()
        assert nsqd.ask("REGISTER t ch") == b"OK"
        assert len(get(lookupd.http_address, "/lookup?topic=t").json["producers"]) == 1


def test_who_never_answers_heartbeats_is_let_go_and_its_message_goes_to_another(
    broker: Daemon, wire: Wire, connect: Callable[[], Wire], old_topic: str
) -> None:
    wire.negotiate(heartbeat_interval=1000, msg_timeout=1000)
    wire.subscribe(old_topic, "ch", rdy=1)
    healthy = connect()
    healthy.ok(f"PUB {old_topic}".encode(), b"to the silent one")
    eventually(lambda: channel_stats(broker.http_address, old_topic, "ch")["in_flight_count"] == 1)
    healthy.subscribe(old_topic, "ch", rdy=1)
    message = healthy.message()
    assert (message.body, message.attempts) == (b"to the silent one", 2)
    healthy.finish(message.id)
    eventually(lambda: channel_stats(broker.http_address, old_topic, "ch")["client_count"] == 1)


def test_who_is_refused_gets_no_more_messages(broker: Daemon, wire: Wire, topic: str) -> None:
    """Though it leaves its side of the connection open, and sends on."""
    wire.subscribe(topic, "ch", rdy=10)
    wire.send(b"ASDF\n" * 3)
    assert wire.error() == "E_INVALID invalid command ASDF"
    exchange(broker, topic, 10)
    with Wire(broker.tcp_address) as healthy:
        healthy.subscribe(topic, "ch", rdy=10)
        assert [healthy.message().attempts for _ in range(10)] == [1] * 10


@contextmanager
def silent_connections(address: str, count: int) -> Iterator[None]:
    """So many connections that say nothing, in a process of their own, which has a limit of its own."""
    program = Path(__file__).parents[1] / "harness" / "silent_connections.py"
    process = subprocess.Popen(
        [sys.executable, program, address, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield
        process.communicate("\n", timeout=30)
    assert process.returncode == 0


@contextmanager
def few_files(most: int) -> Iterator[None]:
    """What is started meanwhile may have so many files open, unless it raises that limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_thousands_of_connections_that_say_nothing(kind: str, tmp_path: Path) -> None:
    with ExitStack() as running:
        with few_files(256):
            nsqd = running.enter_context(nsqd_on(kind, tmp_path))
        running.enter_context(silent_connections(nsqd.tcp_address, SILENT_CONNECTIONS))
        running.enter_context(silent_connections(nsqd.http_address, SILENT_CONNECTIONS // 10))
        exchange(nsqd, "t")
        assert stats(nsqd.http_address)["health"] == "OK"
