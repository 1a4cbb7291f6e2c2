"""statsd's names and packets, without a socket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compat.nsqd.stats import Document
from compat.nsqd.statsd import Counters, datagrams, lines


def document(**counts: int) -> Document:
    latency = {"percentiles": [{"quantile": 0.995, "value": 12345}, {"quantile": 0.5, "value": 7}]}
    figures = dict.fromkeys(
        ("depth", "backend_depth", "in_flight_count", "deferred_count", "client_count"), 0
    ) | {"requeue_count": 0, "timeout_count": 0, "message_count": 0, "message_bytes": 0, **counts}
    channel = {"channel_name": "c#ephemeral", "e2e_processing_latency": latency, **figures}
    topic = {"topic_name": "t", "channels": [channel], "e2e_processing_latency": latency, **figures}
    return {"topics": [topic]}


def test_counters_are_what_came_since_the_last_round() -> None:
    counters = Counters()
    for total, expected in (3, 3), (5, 2), (5, 0):
        (line,) = [
            each
            for each in lines(document(message_count=total), counters)
            if each.startswith("topic.t.message_count")
        ]
        assert line == f"topic.t.message_count:{expected}|c"


def test_a_name_that_comes_again_begins_anew() -> None:
    counters = Counters()
    for shown in document(message_count=9), {"topics": []}, document(message_count=2):
        last = list(lines(shown, counters))
    assert "topic.t.message_count:2|c" in last


def test_latencies_are_named_by_whole_percents() -> None:
    found = list(lines(document(), Counters()))
    assert "topic.t.e2e_processing_latency_100:12345|g" in found
    assert "topic.t.channel.c#ephemeral.e2e_processing_latency_50:7|g" in found


def test_ephemeral_names_can_be_left_out() -> None:
    found = list(lines(document(), Counters(), ephemeral=False))
    assert found
    assert not any("ephemeral" in each for each in found)


@given(st.lists(st.text("ab", min_size=1, max_size=30)), st.integers(1, 40))
def test_c_nsqd_18_packets_hold_whole_lines_within_the_size(texts: list[str], size: int) -> None:
    packets = datagrams(texts, size)
    assert b"".join(packets).decode().splitlines() == texts
    assert all(packet.endswith(b"\n") for packet in packets)
    assert all(len(packet) <= size or packet.count(b"\n") == 1 for packet in packets)
