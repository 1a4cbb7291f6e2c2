"""Connections that misbehave: who does not read, does not finish, is cut off, and harms nobody else."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from pathlib import Path
from typing import Any

from compat.nsqd import Nsqd
from compat.threaded import ThreadedNsqd
from harness.http import get
from harness.polling import eventually
from harness.wire import ERROR, RESPONSE, Frame, Wire, sized
from nsqgw.protocol.compression import Codec, Deflate, Snappy
from nsqgw.service.listen import BACKLOG

BODY = bytes(200_000)


def channel_stats(broker: ThreadedNsqd, topic: str) -> dict[str, Any]:
    answer = get(broker.http_address, f"/stats?format=json&topic={topic}")
    topics = json.loads(answer.body)["topics"]
    channels: dict[str, Any] = topics[0]["channels"][0] if topics and topics[0]["channels"] else {}
    return channels


def backlog(sock: socket.socket) -> int:
    """How many connections may wait to be accepted, as the kernel says: tcpi_sacked of a listener."""
    return int(struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64), 28)[0])


def test_all_clients_may_come_back_at_once(broker: ThreadedNsqd) -> None:
    """Beyond the backlog connections wait for the kernel to try again, a second."""
    limit = int(Path("/proc/sys/net/core/somaxconn").read_text())

    async def backlogs(nsqd: Nsqd) -> list[int]:
        assert nsqd._acceptor is not None
        return [backlog(each) for each in nsqd._acceptor._sockets]

    assert broker.run(backlogs) == [min(BACKLOG, limit)]


def stalled_consumer(broker: ThreadedNsqd, topic: str, heartbeat_interval: int) -> Wire:
    """A consumer that takes 2500 messages and reads nothing after its subscription."""
    wire = Wire(broker.tcp_address)
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    wire.negotiate(heartbeat_interval=heartbeat_interval)
    wire.subscribe(topic, "ch", rdy=2500)
    return wire


def test_a_stalled_consumer_gets_little_and_holds_up_nobody(broker: ThreadedNsqd, topic: str) -> None:
    with (
        stalled_consumer(broker, topic, 60_000),
        Wire(broker.tcp_address) as lively,
        Wire(broker.tcp_address) as producer,
    ):
        lively.subscribe(topic, "ch", rdy=10)
        for _ in range(60):
            producer.ok(f"PUB {topic}".encode(), BODY)
        received = 0
        while channel_stats(broker, topic)["depth"] or received < 20:
            lively.finish(lively.message().id)
            received += 1
        stats = channel_stats(broker, topic)
        [stalled] = [client for client in stats["clients"] if client["ready_count"] == 2500]
        assert received + stalled["in_flight_count"] + stats["depth"] <= 60
        assert stalled["in_flight_count"] < 40


def test_a_consumer_that_never_reads_is_cut_off(broker: ThreadedNsqd, topic: str) -> None:
    with stalled_consumer(broker, topic, 1000), Wire(broker.tcp_address) as producer:
        for _ in range(60):
            producer.ok(f"PUB {topic}".encode(), BODY)
        eventually(lambda: channel_stats(broker, topic)["client_count"] == 0)


def test_who_does_not_read_its_answers_is_not_read_any_more(broker: ThreadedNsqd, topic: str) -> None:
    """They would pile up otherwise. Once it reads again nothing is lost."""
    command = b"FIN 0123456789abcdef\n"
    text = b"E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight"
    answer = struct.pack(">ii", 4 + len(text), ERROR) + text
    commands = memoryview(command * 1_000_000)
    with Wire(broker.tcp_address) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        wire.negotiate(heartbeat_interval=60_000)
        wire.subscribe(topic, "ch")
        wire.socket.settimeout(1.0)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < len(commands):
                sent += wire.socket.send(commands[sent : sent + 65536])
        assert sent < len(commands)
        wire.socket.settimeout(15.0)
        expected = sent // len(command) * len(answer)
        received = 0
        while received < expected:
            received += len(wire.socket.recv(65536))
        assert received == expected


def test_the_error_arrives_although_more_was_sent_behind_the_mistake(
    broker: ThreadedNsqd, topic: str
) -> None:
    with Wire(broker.tcp_address) as wire:
        wire.send(f"PUB {topic}\n".encode() + sized(bytes(1_048_577)))
        assert wire.frame() == (ERROR, b"E_BAD_MESSAGE PUB message too big 1048577 > 1048576")
        assert wire.is_closed()


def test_half_a_body_and_then_silence(broker: ThreadedNsqd, topic: str) -> None:
    with Wire(broker.tcp_address) as wire:
        wire.negotiate(heartbeat_interval=1000)
        wire.send(f"PUB {topic}\n".encode() + struct.pack(">i", 10) + b"half")
        assert wire.frame() == (ERROR, b"E_BAD_MESSAGE PUB failed to read message body")
        assert wire.is_closed()


def test_answers_still_reach_who_closed_its_sending_side(broker: ThreadedNsqd, topic: str) -> None:
    with Wire(broker.tcp_address) as wire:
        wire.send(f"PUB {topic}\n".encode() + sized(b"x"))
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.frame() == (RESPONSE, b"OK")
        assert wire.is_closed()


def test_the_end_of_the_stream_inside_a_body_is_told(broker: ThreadedNsqd, topic: str) -> None:
    with Wire(broker.tcp_address) as wire:
        wire.send(f"PUB {topic}\n".encode() + struct.pack(">i", 10) + b"half")
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.frame() == (ERROR, b"E_BAD_MESSAGE PUB failed to read message body")
        assert wire.is_closed()


def test_a_repeated_identify_does_not_change_the_delivery(broker: ThreadedNsqd, topic: str) -> None:
    with Wire(broker.tcp_address) as wire:
        wire.negotiate(sample_rate=0, msg_timeout=60_000)
        assert wire.negotiate(sample_rate=1, msg_timeout=1000)["msg_timeout"] == 1000
        wire.subscribe(topic, "ch", rdy=1)
        eventually(lambda: channel_stats(broker, topic)["clients"])
        [client] = channel_stats(broker, topic)["clients"]
        assert client["sample_rate"] == 0


class CompressedWire(Wire):
    """A connection that has negotiated `codec`."""

    def __init__(self, address: str, codec: Codec, **features: bool) -> None:
        super().__init__(address)
        answer = self.negotiate(**features)
        assert all(answer[name] for name in features)
        self.codec = codec
        self.plain = b""

    def send(self, data: bytes) -> None:
        super().send(self.codec.compress(data) if hasattr(self, "codec") else data)

    def exactly(self, size: int) -> bytes:
        if not hasattr(self, "codec"):
            return super().exactly(size)
        while len(self.plain) < size:
            self.plain += b"".join(self.codec.decompress(self.socket.recv(65536)))
        taken, self.plain = self.plain[:size], self.plain[size:]
        return taken


def test_compressed_connections_carry_the_same_dialogue(broker: ThreadedNsqd, topic: str) -> None:
    codecs: dict[str, Codec] = {"snappy": Snappy(), "deflate": Deflate()}
    for name, codec in codecs.items():
        with CompressedWire(broker.tcp_address, codec, **{name: True}) as wire:
            assert wire.frame() == (RESPONSE, b"OK")
            wire.subscribe(topic, name, rdy=1)
            for body in (b"x", BODY):
                wire.send(f"PUB {topic}\n".encode() + sized(body))
                frames = {wire.frame(), wire.frame()}
                [message] = [frame.data for frame in frames if frame != Frame(RESPONSE, b"OK")]
                assert message[26:] == body
                wire.finish(message[10:26])
            assert wire.ask(b"ASDF") == (ERROR, b"E_INVALID invalid command ASDF")


def test_stop_ends_connections_and_start_listens_on_the_same_ports() -> None:
    with ThreadedNsqd() as daemon:
        addresses = daemon.tcp_address, daemon.http_address
        with Wire(daemon.tcp_address) as wire:
            wire.subscribe("t", "c", rdy=1)
            daemon.stop()
            assert wire.is_closed()
        daemon.start()
        assert (daemon.tcp_address, daemon.http_address) == addresses
        with Wire(daemon.tcp_address) as wire:
            wire.ok(b"PUB t", b"x")
