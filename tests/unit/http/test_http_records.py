"""JSON as dataclasses: what is missing, too much or of another type."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsqgw.http.records import Mismatch, items, record
from nsqgw.http.results import (
    ChannelStats,
    ClientStats,
    Latency,
    Lookup,
    MemoryStats,
    Node,
    NsqdInfo,
    NsqdStats,
    Percentile,
    PubCount,
    RegisteredNode,
    TopicsNode,
    TopicStats,
)


def test_a_whole_document() -> None:
    client = {"client_id": "a", "pub_counts": [{"topic": "t", "count": 2}], "tls": True, "new": {"x": 1}}
    latency = {"count": 1, "percentiles": [{"quantile": 0.99, "value": 1500000.0}]}
    channel = {"channel_name": "c", "clients": [client], "e2e_processing_latency": latency}
    document = {
        "version": "1.3.0",
        "health": "OK",
        "topics": [{"topic_name": "t", "channels": [channel], "depth": 3}],
        "memory": {"heap_objects": 5},
        "producers": None,
        "from_the_future": [1, 2],
    }
    reader = ClientStats(client_id="a", pub_counts=(PubCount("t", 2),), tls=True)
    assert record(NsqdStats, document) == NsqdStats(
        version="1.3.0",
        health="OK",
        topics=(
            TopicStats(
                topic_name="t",
                depth=3,
                channels=(
                    ChannelStats(
                        channel_name="c",
                        clients=(reader,),
                        e2e_processing_latency=Latency(1, (Percentile(0.99, 0.0015),)),
                    ),
                ),
            ),
        ),
        memory=MemoryStats(heap_objects=5),
    )


def test_null_and_nothing_are_the_default() -> None:
    assert record(NsqdStats, {"version": "1", "topics": None}) == NsqdStats("1")
    assert record(NsqdStats, {"version": "1"}).memory is None


def test_durations_are_seconds() -> None:
    info = record(NsqdInfo, {"version": "1", "max_heartbeat_interval": 60000000000})
    assert info.max_heartbeat_interval == 60.0
    node = record(RegisteredNode, {"broadcast_address": "h", "last_update": 1700000000000000000})
    assert node.last_update == 1.7e9


def test_addresses_of_nodes() -> None:
    assert Node("h", 4150, 4151).tcp_address == "h:4150"
    assert Node("::1", 4150, 4151).http_address == "[::1]:4151"


@pytest.mark.parametrize(
    ("kind", "value", "place"),
    [
        (NsqdInfo, {}, "version is missing"),
        (NsqdInfo, {"version": None}, "version is missing"),
        (NsqdInfo, {"version": "1", "tcp_port": "4150"}, "tcp_port is not an integer"),
        (NsqdInfo, {"version": "1", "tcp_port": True}, "tcp_port is not an integer"),
        (NsqdInfo, {"version": "1", "tcp_port": 1.5}, "tcp_port is not an integer"),
        (NsqdStats, {"version": "1", "topics": {}}, "topics is no list"),
        (NsqdStats, {"version": "1", "topics": [{"topic_name": "t"}, 5]}, "topics[1] is no object"),
        (NsqdStats, {"version": "1", "topics": [{}]}, "topics[0].topic_name is missing"),
        (TopicStats, {"topic_name": "t", "paused": 1}, "paused is not true or false"),
        (TopicStats, [], "TopicStats is no object"),
        (Lookup, {"producers": [], "channels": [5]}, "channels[0] is not a string"),
    ],
)
def test_the_place_of_what_does_not_fit_is_named(kind: Any, value: Any, place: str) -> None:
    with pytest.raises(Mismatch) as raised:
        record(kind, value)
    assert str(raised.value) == place


def test_lists() -> None:
    assert items(str, ["a"], "topics") == ("a",)
    assert items(TopicsNode, [{"broadcast_address": "h", "topics": ["t"]}], "producers")[0].topics == ("t",)
    with pytest.raises(Mismatch, match="producers is no list"):
        items(TopicsNode, None, "producers")


KEYS = st.sampled_from(["version", "topics", "topic_name", "channels", "depth", "producers", "memory"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS | st.text(), inner),
)


@given(JSON)
def test_any_json_is_a_record_or_a_mismatch(value: Any) -> None:
    with contextlib.suppress(Mismatch):
        assert record(NsqdStats, value).version == value["version"]
