"""/stats: the shape of the JSON, key by key and type by type, and the text form (nsqd-http section 6).

The state is made the same way on both kinds of daemons; what came with nsqd after 1.3.0 may be there or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.http import get, post, stats
from harness.polling import eventually
from harness.wire import Wire

LATENCY = {"count": int, "percentiles": None}
CLIENT = {
    "client_id": str,
    "hostname": str,
    "version": str,
    "remote_address": str,
    "state": int,
    "ready_count": int,
    "in_flight_count": int,
    "message_count": int,
    "finish_count": int,
    "requeue_count": int,
    "connect_ts": int,
    "sample_rate": int,
    "deflate": bool,
    "snappy": bool,
    "user_agent": str,
}
TLS = {
    "tls": bool,
    "tls_cipher_suite": str,
    "tls_version": str,
    "tls_negotiated_protocol": str,
    "tls_negotiated_protocol_is_mutual": bool,
}
PUB_COUNTS = {"pub_counts": [{"topic": str, "count": int}]}
CHANNEL = {
    "channel_name": str,
    "depth": int,
    "backend_depth": int,
    "in_flight_count": int,
    "deferred_count": int,
    "message_count": int,
    "requeue_count": int,
    "timeout_count": int,
    "client_count": int,
    "clients": [CLIENT | TLS],
    "paused": bool,
    "e2e_processing_latency": LATENCY,
}
TOPIC = {
    "topic_name": str,
    "channels": [CHANNEL],
    "depth": int,
    "backend_depth": int,
    "message_count": int,
    "message_bytes": int,
    "paused": bool,
    "e2e_processing_latency": LATENCY,
}
MEMORY = dict.fromkeys(
    (
        "heap_objects",
        "heap_idle_bytes",
        "heap_in_use_bytes",
        "heap_released_bytes",
        "gc_pause_usec_100",
        "gc_pause_usec_99",
        "gc_pause_usec_95",
        "next_gc_bytes",
        "gc_total_runs",
    ),
    int,
)
STATS = {
    "version": str,
    "health": str,
    "start_time": int,
    "topics": [TOPIC],
    "memory": MEMORY,
    "producers": [CLIENT | PUB_COUNTS | TLS],
}
NEWER = {
    "topology_zone": str,
    "topology_region": str,
    "zone_local_msg_count": int,
    "region_local_msg_count": int,
    "global_msg_count": int,
}


def shape(value: Any) -> Any:
    """Types in place of values; of a list its first element; newer keys are checked and left out."""
    if isinstance(value, dict):
        for key in value.keys() & NEWER.keys():
            assert type(value[key]) is NEWER[key], key
        return {key: shape(item) for key, item in value.items() if key not in NEWER}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return None if value is None else type(value)


def in_order(value: Any) -> list[Any]:
    """All keys in the order they came, depth first."""
    if isinstance(value, dict):
        return [entry for key, item in value.items() if key not in NEWER for entry in (key, *in_order(item))]
    return [entry for item in value[:1] for entry in in_order(item)] if isinstance(value, list) else []


@pytest.fixture
def daemon(start_nsqd: Callable[..., Daemon]) -> Daemon:
    return start_nsqd()


@pytest.fixture
def busy(daemon: Daemon) -> Iterator[Daemon]:
    """A producer, and a consumer with one message in flight, one waiting and one deferred."""
    with Wire(daemon.tcp_address) as producer, Wire(daemon.tcp_address) as consumer:
        consumer.identify(client_id="c", hostname="h", user_agent="scene/1")
        consumer.subscribe("t", "ch", rdy=1)
        for body in b"one", b"two":
            producer.ok(b"PUB t", body)
        producer.ok(b"DPUB t 60000", b"later")
        consumer.message()
        eventually(lambda: channel_of(daemon)["deferred_count"] == 1)
        yield daemon


def channel_of(daemon: Daemon, query: str = "") -> dict[str, Any]:
    return dict(stats(daemon.http_address, query)["topics"][0]["channels"][0])


def test_stats_have_the_same_keys_types_and_order(busy: Daemon) -> None:
    document = stats(busy.http_address)
    assert shape(document) == STATS
    assert in_order(document) == in_order(STATS)


def test_stats_have_the_same_values(busy: Daemon) -> None:
    document = stats(busy.http_address)
    assert (document["version"], document["health"]) == ("1.3.0", "OK")
    (topic,) = document["topics"]
    assert (topic["topic_name"], topic["depth"], topic["backend_depth"]) == ("t", 0, 0)
    assert (topic["message_count"], topic["message_bytes"], topic["paused"]) == (3, 11, False)
    (channel,) = topic["channels"]
    counts = ("depth", "in_flight_count", "deferred_count", "message_count", "client_count", "timeout_count")
    assert [channel[key] for key in counts] == [1, 1, 1, 3, 1, 0]
    (client,) = channel["clients"]
    assert re.fullmatch(r"127\.0\.0\.1:\d+", client["remote_address"])
    assert (client["client_id"], client["hostname"], client["user_agent"]) == ("c", "h", "scene/1")
    counts = ("state", "ready_count", "in_flight_count", "message_count", "finish_count", "requeue_count")
    assert [client[key] for key in counts] == [3, 1, 1, 1, 0, 0]
    assert (client["version"], client["tls"], client["tls_version"]) == ("V2", False, "")
    (producer,) = document["producers"]
    assert producer["pub_counts"] == [{"topic": "t", "count": 3}]
    assert producer["state"] == 0


def test_client_counts_follow_its_answers(daemon: Daemon) -> None:
    with Wire(daemon.tcp_address) as wire:
        wire.subscribe("t", "ch", rdy=1)
        for _ in range(2):
            wire.send(b"PUB t\n\0\0\0\x01x")
        seen = [frame for frame in (wire.frame() for _ in range(3)) if frame.type == 2]
        wire.finish(seen[0].data[10:26])
        wire.send(b"REQ " + wire.message().id + b" 60000\n")
        wire.send(b"CLS\n")
        wire.frame()
        (client,) = channel_of(daemon)["clients"]
        counts = ("state", "ready_count", "in_flight_count", "message_count", "finish_count", "requeue_count")
        assert [client[key] for key in counts] == [4, 0, 0, 2, 1, 1]
        (producer,) = stats(daemon.http_address)["producers"]
        assert producer["remote_address"] == client["remote_address"]


def test_c_http_17_empty_server(daemon: Daemon) -> None:
    text = get(daemon.http_address, "/stats?format=json").body.decode()
    start = r'\{"version":"1\.3\.0","health":"OK","start_time":\d+,"topics":\[\],"memory":\{'
    assert re.fullmatch(start + r'.*\},"producers":null\}', text)


def test_c_http_18_include_mem_and_clients(busy: Daemon) -> None:
    assert "memory" not in stats(busy.http_address, "&include_mem=false")
    assert "memory" in stats(busy.http_address, "&include_mem=nonsense")
    without = stats(busy.http_address, "&include_clients=false")
    assert without["producers"] is None
    (channel,) = without["topics"][0]["channels"]
    assert (channel["clients"], channel["client_count"]) == (None, 1)


def test_c_http_19_filters(busy: Daemon) -> None:
    address = busy.http_address
    post(address, "/topic/create?topic=other")
    names = lambda query: [entry["topic_name"] for entry in stats(address, query)["topics"]]  # noqa: E731
    assert names("") == ["other", "t"]
    assert names("&topic=t") == ["t"]
    assert names("&channel=ch") == ["t"]
    assert stats(address, "&topic=unknown")["topics"] is None
    assert stats(address, "&channel=unknown")["topics"] == []
    assert stats(address, "&topic=other")["producers"] is not None


def test_c_http_20_only_who_published_is_a_producer(daemon: Daemon) -> None:
    with Wire(daemon.tcp_address) as producer, Wire(daemon.tcp_address) as idle:
        idle.identify(client_id="idle")
        producer.identify(client_id="producer")
        producer.ok(b"PUB t", b"x")
        (entry,) = stats(daemon.http_address)["producers"]
        assert (entry["client_id"], entry["pub_counts"]) == ("producer", [{"topic": "t", "count": 1}])
        post(daemon.http_address, "/pub?topic=u", b"x")
        assert len(stats(daemon.http_address)["producers"]) == 1
    eventually(lambda: stats(daemon.http_address)["producers"] is None)


def test_lists_without_entries_are_empty(daemon: Daemon) -> None:
    post(daemon.http_address, "/topic/create?topic=t")
    assert stats(daemon.http_address)["topics"][0]["channels"] == []
    post(daemon.http_address, "/channel/create?topic=t&channel=ch")
    assert channel_of(daemon)["clients"] == []


def test_c_http_27_text_of_an_empty_server(daemon: Daemon) -> None:
    answer = get(daemon.http_address, "/stats")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    lines = answer.body.decode().split("\n")
    assert re.fullmatch(r"nsqd v1\.3\.0 \(built w/[a-z0-9.-]+\)", lines[0])
    assert re.fullmatch(r"start_time \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", lines[1])
    assert re.fullmatch(r"uptime [0-9hms.µ]+", lines[2])
    assert lines[3:7] == ["", "Health: OK", "", "Memory:"]
    assert re.fullmatch(r"   heap_objects {13}\t\d+", lines[7])
    assert len(lines[7:16]) == len(MEMORY)
    assert lines[16:] == ["", "Topics: None", "", "Producers: None", ""]


def test_c_http_27_text_of_a_busy_server(busy: Daemon) -> None:
    post(busy.http_address, "/topic/pause?topic=t")
    post(busy.http_address, "/topic/create?topic=u")
    text = get(busy.http_address, "/stats?include_mem=false").body.decode()
    text = re.sub(r"connected: [0-9.msµ]+", "connected: AGE", re.sub(r":\d{5}\b", ":PORTS", text))
    assert text.split("\n")[3:] == [
        "",
        "Health: OK",
        "",
        "Topics:",
        "*P [t              ] depth: 0     be-depth: 0     msgs: 3        e2e%: ",
        "      [ch                       ] depth: 1     be-depth: 0     inflt: 1    def: 1    re-q: 0     "
        "timeout: 0     msgs: 3        e2e%: ",
        "        [V2 h:PORTS scene/1      ] state: 3 inflt: 1    rdy: 1    fin: 0        re-q: 0        "
        "msgs: 1        connected: AGE",
        "",
        "   [u              ] depth: 0     be-depth: 0     msgs: 0        e2e%: ",
        "",
        "Producers:",
        "   [V2 127.0.0.1:PORTS      ] msgs: 3        topics: t=3 connected: AGE",
        "",
    ]
