"""/stats as text: the lines people and scripts read."""

from __future__ import annotations

from compat.nsqd.stats import Document
from compat.nsqd.stats_text import stats_text

CLIENT: Document = {
    "hostname": "host",
    "remote_address": "127.0.0.1:5000",
    "user_agent": "me/1",
    "state": 3,
    "in_flight_count": 1,
    "ready_count": 2,
    "finish_count": 3,
    "requeue_count": 4,
    "message_count": 5,
    "connect_ts": 1000,
}
CHANNEL: Document = {
    "channel_name": "ch",
    "depth": 1,
    "backend_depth": 2,
    "in_flight_count": 3,
    "deferred_count": 4,
    "requeue_count": 5,
    "timeout_count": 6,
    "message_count": 7,
    "paused": True,
    "clients": [CLIENT],
    "e2e_processing_latency": {
        "count": 3,
        "percentiles": [
            {"quantile": each, "value": value}
            for each, value in ((1.0, 2_500_000_000), (0.9, 3_210_000), (0.5, 4567), (0.1, 890))
        ],
    },
}
TOPIC: Document = {
    "topic_name": "t",
    "depth": 1,
    "backend_depth": 0,
    "message_count": 9,
    "paused": False,
    "channels": [CHANNEL],
    "e2e_processing_latency": {"count": 0, "percentiles": None},
}


def document(**parts: object) -> Document:
    return {"version": "1.3.0", "health": "OK", "start_time": 1000, "topics": [], "producers": None} | parts


def test_an_empty_server() -> None:
    text = stats_text(document(), "nsqd v1.3.0 (built w/x)", 1062.5)
    lines = text.split("\n")
    assert lines[0] == "nsqd v1.3.0 (built w/x)"
    assert lines[1].startswith("start_time 1970-01-01T")
    assert lines[2:] == ["uptime 1m2.5s", "", "Health: OK", "", "Topics: None", "", "Producers: None", ""]


def test_memory_is_a_table() -> None:
    text = stats_text(document(memory={"heap_objects": 12}), "", 1000.0)
    assert "Memory:\n   heap_objects             \t12\n\nTopics" in text


def test_topics_channels_and_clients() -> None:
    producer = CLIENT | {"pub_counts": [{"topic": "t", "count": 8}]}
    lines = stats_text(document(topics=[TOPIC], producers=[producer]), "", 1065.0).split("\n")
    assert lines[6:] == [
        "Topics:",
        "   [t              ] depth: 1     be-depth: 0     msgs: 9        e2e%: ",
        "   *P [ch                       ] depth: 1     be-depth: 2     inflt: 3    def: 4    re-q: 5     "
        "timeout: 6     msgs: 7        e2e%: 2.5s, 3.2ms, 4.6us, 890.0ns",
        "        [V2 host:5000 me/1       ] state: 3 inflt: 1    rdy: 2    fin: 3        re-q: 4        "
        "msgs: 5        connected: 1m5s",
        "",
        "Producers:",
        "   [V2 host:5000 me/1       ] msgs: 8        topics: t=8 connected: 1m5s",
        "",
    ]
