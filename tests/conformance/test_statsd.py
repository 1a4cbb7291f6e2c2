"""Figures that nsqd pushes and keeps (nsqd-behaviour sections 5 and 6): statsd, and the time to FIN."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from harness.daemons import Daemon
from harness.http import call, channel_stats, get, post, stats
from harness.polling import eventually
from harness.wire import Wire

StartDaemon = Callable[..., Daemon]

INTERVAL = 1.02
"""Just above the 1 s at which the original panics; the packets of a round are spread over the rest."""

MEMORY = [
    *("heap_objects", "heap_idle_bytes", "heap_in_use_bytes", "heap_released_bytes"),
    *("gc_pause_usec_100", "gc_pause_usec_99", "gc_pause_usec_95", "next_gc_bytes"),
]


class Statsd:
    """A statsd daemon that only listens."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(15)
        self.address = "{}:{}".format(*self.socket.getsockname())

    def packets(self, last: str) -> list[bytes]:
        """The packets up to the one with a line that has `last` in it."""
        packets = [self.socket.recv(65536)]
        while last.encode() not in packets[-1]:
            packets.append(self.socket.recv(65536))
        return packets

    def round(self, last: str) -> list[str]:
        return b"".join(self.packets(last)).decode().splitlines()


@pytest.fixture
def statsd() -> Iterator[Statsd]:
    listening = Statsd()
    yield listening
    listening.socket.close()


def test_c_nsqd_17_names_values_and_deltas(start_nsqd: StartDaemon, statsd: Statsd) -> None:
    nsqd = start_nsqd(statsd_address=statsd.address, statsd_interval=INTERVAL)
    for path in "/topic/create?topic=t", "/channel/create?topic=t&channel=ch", "/topic/create?topic=u":
        post(nsqd.http_address, path)
    post(nsqd.http_address, "/mpub?topic=t", b"one\nthree")
    eventually(lambda: channel_stats(nsqd.http_address, "t", "ch")["depth"] == 2)
    prefix = f"nsq.127_0_0_1_{nsqd.http_address.rpartition(':')[2]}."
    lines = statsd.round("mem.gc_runs")
    while f"{prefix}topic.t.channel.ch.depth:2|g" not in lines:  # a round may have begun too early
        lines = statsd.round("mem.gc_runs")
    counts = {line for line in lines if "message_" in line}
    names = [line.removeprefix(prefix) for line in lines if line not in counts]
    assert names[:2] == ["topic.t.depth:0|g", "topic.t.backend_depth:0|g"]
    assert names[2:9] == [
        "topic.t.channel.ch.depth:2|g",
        "topic.t.channel.ch.backend_depth:0|g",
        "topic.t.channel.ch.in_flight_count:0|g",
        "topic.t.channel.ch.deferred_count:0|g",
        "topic.t.channel.ch.requeue_count:0|c",
        "topic.t.channel.ch.timeout_count:0|c",
        "topic.t.channel.ch.clients:0|g",
    ]
    assert names[9:11] == ["topic.u.depth:0|g", "topic.u.backend_depth:0|g"]
    shown = [re.sub(r"\d+\|", "N|", name) for name in names[11:]]
    assert shown == [*(re.sub(r"\d+\|", "N|", f"mem.{key}:N|g") for key in MEMORY), "mem.gc_runs:N|c"]
    later = statsd.round("mem.gc_runs")
    assert {line for line in later if "message_" in line} == {
        f"{prefix}{name}:0|c"
        for name in (
            *("topic.t.message_count", "topic.t.message_bytes", "topic.t.channel.ch.message_count"),
            *("topic.u.message_count", "topic.u.message_bytes"),
        )
    }
    assert get(nsqd.http_address, "/config/statsd_prefix").body.decode() == prefix


def test_c_nsqd_18_packets_stay_within_the_size(start_nsqd: StartDaemon, statsd: Statsd) -> None:
    nsqd = start_nsqd(
        statsd_address=statsd.address,
        statsd_interval=INTERVAL,
        statsd_udp_packet_size=100,
        statsd_mem_stats=False,
        statsd_exclude_ephemeral=True,
        statsd_prefix="a",
    )
    for name in "a%23ephemeral", "b", "last":
        post(nsqd.http_address, f"/topic/create?topic={name}")
    post(nsqd.http_address, "/channel/create?topic=last&channel=c%23ephemeral")
    packets = statsd.packets("topic.last.backend_depth")
    while not b"".join(packets).startswith(b"a.topic.b.message_count"):
        packets = statsd.packets("topic.last.backend_depth")
    assert len(packets) > 1
    assert all(len(packet) <= 100 and packet.endswith(b"\n") for packet in packets)
    assert b"ephemeral" not in b"".join(packets)
    assert b"mem." not in b"".join(packets)


def test_c_nsqd_16_latency_counts_what_was_finished(start_nsqd: StartDaemon) -> None:
    nsqd = start_nsqd(e2e_processing_latency_percentiles=(0.5, 0.99), max_heartbeat_interval=60.0)
    begun = time.time_ns()
    with Wire(nsqd.tcp_address) as wire, Wire(nsqd.tcp_address) as other:
        for consumer, channel in (wire, "ch"), (other, "other"):
            consumer.subscribe("t", channel, rdy=10)
        for body in b"a", b"b":
            post(nsqd.http_address, "/pub?topic=t", body)
        first, second = wire.message(), wire.message()
        wire.finish(first.id)
        wire.send(b"REQ " + second.id + b" 60000\n")
        for _ in range(2):
            other.finish(other.message().id)
        eventually(lambda: latency("ch", nsqd)["count"] == 1)
        eventually(lambda: latency("other", nsqd)["count"] == 2)
        (entry,) = stats(nsqd.http_address)["topics"]
        assert entry["e2e_processing_latency"]["count"] == 3
        for found in latency("ch", nsqd), latency("other", nsqd), entry["e2e_processing_latency"]:
            assert list(found) == ["count", "percentiles"]
            assert [list(each) for each in found["percentiles"]] == [["quantile", "value"]] * 2
            assert [each["quantile"] for each in found["percentiles"]] == [0.99, 0.5]
            assert all(0 < each["value"] < time.time_ns() - begun for each in found["percentiles"])
        text = get(nsqd.http_address, "/stats").body.decode()
        assert len(re.findall(r"e2e%: [0-9.]+(?:ns|us|ms|s), [0-9.]+(?:ns|us|ms|s)\n", text)) == 3


def latency(channel: str, nsqd: Daemon) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = channel_stats(nsqd.http_address, "t", channel)[
        "e2e_processing_latency"
    ]
    return found


def test_c_nsqd_16_a_channel_nobody_finished_from_has_zeros(start_nsqd: StartDaemon) -> None:
    nsqd = start_nsqd(e2e_processing_latency_percentiles=(1.0,))
    post(nsqd.http_address, "/topic/create?topic=t")
    (entry,) = stats(nsqd.http_address)["topics"]
    assert entry["e2e_processing_latency"] == {"count": 0, "percentiles": None}
    post(nsqd.http_address, "/channel/create?topic=t&channel=ch")
    assert latency("ch", nsqd) == {"count": 0, "percentiles": [{"quantile": 1, "value": 0}]}


def test_what_was_announced_is_told(start_nsqd: StartDaemon) -> None:
    nsqd = start_nsqd(e2e_processing_latency_percentiles=(0.5, 0.99))
    port = nsqd.tcp_address.rpartition(":")[2].encode()
    assert get(nsqd.http_address, "/config/broadcast_tcp_port").body == port
    answer = call(nsqd.http_address, "GET", "/config/e2e_processing_latency_percentiles")
    assert answer.json == [0.99, 0.5]
