"""nsqlookupd: its TCP dialogue and its HTTP API (nsqlookupd, statements C-LKD-*)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from harness.daemons import Daemon
from harness.http import call, get, post
from harness.polling import eventually
from harness.wire import LookupWire

NODE = "node.example:4151"
NEWER = {"topology_zone", "topology_region"}  # came after 1.3.0
PRODUCER = {
    "remote_address": str,
    "hostname": str,
    "broadcast_address": str,
    "tcp_port": int,
    "http_port": int,
    "version": str,
}


@pytest.fixture
def lookupd(start_nsqlookupd: Callable[..., Daemon]) -> Daemon:
    return start_nsqlookupd()


@pytest.fixture
def wire(lookupd: Daemon) -> Iterator[LookupWire]:
    with LookupWire(lookupd.tcp_address) as wire:
        yield wire


@pytest.fixture
def node(wire: LookupWire) -> LookupWire:
    """A connection that introduced itself as an nsqd."""
    wire.identify()
    return wire


def lookup(lookupd: Daemon, topic: str) -> dict[str, Any]:
    answer = get(lookupd.http_address, f"/lookup?topic={topic}")
    assert answer.status == 200, answer
    return dict(answer.json)


def nodes(lookupd: Daemon) -> list[dict[str, Any]]:
    return list(get(lookupd.http_address, "/nodes").json["producers"])


def channels(lookupd: Daemon, topic: str) -> list[str]:
    return sorted(get(lookupd.http_address, f"/channels?topic={topic}").json["channels"])


def topics(lookupd: Daemon) -> list[str]:
    return sorted(get(lookupd.http_address, "/topics").json["topics"])


class Row(NamedTuple):
    name: str
    identified: bool
    command: str
    body: bytes | None
    answer: str


ROWS = [
    Row("c_lkd_3_register", False, "REGISTER t c", None, "E_INVALID client must IDENTIFY"),
    Row("c_lkd_3_unregister", False, "UNREGISTER t c", None, "E_INVALID client must IDENTIFY"),
    Row(
        "c_lkd_4_missing_fields",
        False,
        "IDENTIFY",
        b'{"broadcast_address":"b","tcp_port":1,"version":"1"}',
        "E_BAD_BODY IDENTIFY missing fields",
    ),
    Row("identify_no_json", False, "IDENTIFY", b"x", "E_BAD_BODY IDENTIFY failed to decode JSON body"),
    Row("c_lkd_5_identify_again", True, "IDENTIFY", b"{}", "E_INVALID cannot IDENTIFY again"),
    Row("register_no_topic", True, "REGISTER", None, "E_INVALID REGISTER insufficient number of params"),
    Row(
        "unregister_no_topic", True, "UNREGISTER", None, "E_INVALID UNREGISTER insufficient number of params"
    ),
    Row(
        "c_lkd_8_bad_topic",
        True,
        "REGISTER bad$ c",
        None,
        "E_BAD_TOPIC REGISTER topic name 'bad$' is not valid",
    ),
    Row(
        "bad_channel",
        True,
        "REGISTER t bad$",
        None,
        "E_BAD_CHANNEL REGISTER channel name 'bad$' is not valid",
    ),
    Row(
        "unregister_bad_topic",
        True,
        "UNREGISTER bad$",
        None,
        "E_BAD_TOPIC UNREGISTER topic name 'bad$' is not valid",
    ),
    Row("c_lkd_24_unknown", False, "NOPE", None, "E_INVALID invalid command NOPE"),
    Row("lower_case", False, "ping", None, "E_INVALID invalid command ping"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_lookupd_error_row(row: Row, wire: LookupWire) -> None:
    if row.identified:
        wire.identify()
    assert wire.ask(row.command, row.body).decode() == row.answer
    assert wire.is_closed()


def test_c_lkd_1_bad_magic(lookupd: Daemon) -> None:
    with LookupWire(lookupd.tcp_address, b"  V2") as wire:
        assert wire.exactly(18) == b"\0\0\0\x0eE_BAD_PROTOCOL"
        assert wire.is_closed()


def test_c_lkd_2_ping_before_identify(wire: LookupWire) -> None:
    wire.send(b"PING\n")
    assert wire.exactly(6) == bytes.fromhex("000000024F4B")
    assert wire.ask("  PING\r") == b"OK"


def test_c_lkd_6_identify_answer(wire: LookupWire, lookupd: Daemon) -> None:
    answer = wire.identify()
    types = {"broadcast_address": str, "hostname": str, "http_port": int, "tcp_port": int, "version": str}
    assert [(key, type(value)) for key, value in answer.items()] == list(types.items())
    assert lookupd.tcp_address.endswith(f":{answer['tcp_port']}")
    assert lookupd.http_address.endswith(f":{answer['http_port']}")
    assert answer["version"] == "1.3.0"


def test_c_lkd_7_register_shows_everywhere(lookupd: Daemon, node: LookupWire) -> None:
    assert node.ask("REGISTER t c") == b"OK"
    assert topics(lookupd) == ["t"]
    assert channels(lookupd, "t") == ["c"]
    found = lookup(lookupd, "t")
    assert found["channels"] == ["c"]
    (producer,) = found["producers"]
    assert {key: type(value) for key, value in producer.items() if key not in NEWER} == PRODUCER
    assert (producer["broadcast_address"], producer["tcp_port"]) == ("node.example", 4150)
    (entry,) = nodes(lookupd)
    shape = PRODUCER | {"tombstones": list, "topics": list}
    assert {key: type(value) for key, value in entry.items() if key not in NEWER} == shape
    assert (entry["tombstones"], entry["topics"]) == ([False], ["t"])


def test_register_without_channel_and_again(lookupd: Daemon, node: LookupWire) -> None:
    assert node.ask("REGISTER t") == node.ask("REGISTER t") == b"OK"
    assert lookup(lookupd, "t")["channels"] == []
    assert len(lookup(lookupd, "t")["producers"]) == 1


def test_c_lkd_9_disconnect_empties_the_producers_only(lookupd: Daemon, node: LookupWire) -> None:
    node.ask("REGISTER t c")
    node.close()
    eventually(lambda: lookup(lookupd, "t")["producers"] == [])
    assert lookup(lookupd, "t")["channels"] == ["c"]
    assert topics(lookupd) == ["t"]
    assert nodes(lookupd) == []


def test_c_lkd_10_unregister_channel_keeps_it_listed(lookupd: Daemon, node: LookupWire) -> None:
    node.ask("REGISTER t c")
    assert node.ask("UNREGISTER t c") == b"OK"
    assert channels(lookupd, "t") == ["c"]
    assert len(lookup(lookupd, "t")["producers"]) == 1


def test_c_lkd_11_unregister_topic_takes_its_channels(lookupd: Daemon, node: LookupWire) -> None:
    node.ask("REGISTER t c")
    assert node.ask("UNREGISTER t") == b"OK"
    assert lookup(lookupd, "t")["producers"] == []
    (entry,) = nodes(lookupd)
    assert entry["topics"] == []


def test_unregister_of_the_unknown_is_ok(node: LookupWire) -> None:
    assert node.ask("UNREGISTER nobody knows") == b"OK"


@pytest.mark.parametrize("what", ["t c#ephemeral", "t#ephemeral"])
def test_c_lkd_12_ephemeral_goes_with_its_last_producer(lookupd: Daemon, node: LookupWire, what: str) -> None:
    with LookupWire(lookupd.tcp_address) as other:
        other.identify(broadcast_address="other.example")
        for wire in node, other:
            wire.ask(f"REGISTER {what}")

        def listed() -> bool:
            return bool(channels(lookupd, "t")) or "t#ephemeral" in topics(lookupd)

        node.ask(f"UNREGISTER {what}")
        assert listed()
        other.ask(f"UNREGISTER {what}")
        assert not listed()


def test_ephemeral_stays_listed_after_a_disconnect(lookupd: Daemon, node: LookupWire) -> None:
    node.ask("REGISTER t c#ephemeral")
    node.close()
    eventually(lambda: nodes(lookupd) == [])
    assert channels(lookupd, "t") == ["c#ephemeral"]


HTTP_ROWS = [
    ("c_lkd_13_no_topic", "GET /lookup", 400, {"message": "MISSING_ARG_TOPIC"}),
    ("c_lkd_13_unknown", "GET /lookup?topic=unknown", 404, {"message": "TOPIC_NOT_FOUND"}),
    ("c_lkd_14_unknown", "GET /channels?topic=unknown", 200, {"channels": []}),
    ("channels_no_topic", "GET /channels", 400, {"message": "MISSING_ARG_TOPIC"}),
    ("no_topics", "GET /topics", 200, {"topics": []}),
    ("no_nodes", "GET /nodes", 200, {"producers": []}),
    ("info", "GET /info", 200, {"version": "1.3.0"}),
    ("c_lkd_15_bad_topic", "POST /topic/create?topic=bad$", 400, {"message": "INVALID_ARG_TOPIC"}),
    ("create_no_topic", "POST /topic/create", 400, {"message": "MISSING_ARG_TOPIC"}),
    ("create", "POST /topic/create?topic=t", 200, None),
    ("c_lkd_16_unknown", "POST /topic/delete?topic=unknown", 200, None),
    ("delete_no_topic", "POST /topic/delete", 400, {"message": "MISSING_ARG_TOPIC"}),
    ("c_lkd_17", "POST /channel/delete?topic=t&channel=c", 404, {"message": "CHANNEL_NOT_FOUND"}),
    ("channel_no_topic", "POST /channel/create?channel=c", 400, {"message": "MISSING_ARG_TOPIC"}),
    ("channel_no_name", "POST /channel/create?topic=t", 400, {"message": "MISSING_ARG_CHANNEL"}),
    ("channel_bad_topic", "POST /channel/create?topic=t$&channel=c", 400, {"message": "INVALID_ARG_TOPIC"}),
    ("channel_bad_name", "POST /channel/create?topic=t&channel=c$", 400, {"message": "INVALID_ARG_CHANNEL"}),
    ("tombstone_no_topic", "POST /topic/tombstone?node=n", 400, {"message": "MISSING_ARG_TOPIC"}),
    ("tombstone_no_node", "POST /topic/tombstone?topic=t", 400, {"message": "MISSING_ARG_NODE"}),
    ("tombstone_unknown", f"POST /topic/tombstone?topic=t&node={NODE}", 200, None),
    ("c_lkd_23_method", "GET /topic/create?topic=t", 405, {"message": "METHOD_NOT_ALLOWED"}),
    ("c_lkd_23_unknown", "GET /nope", 404, {"message": "NOT_FOUND"}),
    ("legacy_path", "POST /create_topic?topic=t", 404, {"message": "NOT_FOUND"}),
    ("bad_escape", "GET /lookup?topic=%zz", 400, {"message": "INVALID_REQUEST"}),
]


@pytest.mark.parametrize(
    ("request_line", "status", "expected"), [row[1:] for row in HTTP_ROWS], ids=[row[0] for row in HTTP_ROWS]
)
def test_lookupd_http_row(lookupd: Daemon, request_line: str, status: int, expected: Any) -> None:
    method, _, path = request_line.partition(" ")
    answer = call(lookupd.http_address, method, path)
    assert answer.status == status
    assert answer.headers["x-nsq-content-type"] == "nsq; version=1.0"
    if expected is None:
        assert answer.body == b""
    else:
        assert answer.json == expected
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_ping(lookupd: Daemon) -> None:
    answer = get(lookupd.http_address, "/ping")
    assert (answer.status, answer.body) == (200, b"OK")
    assert "x-nsq-content-type" not in answer.headers


def test_c_lkd_15_created_topic_has_no_producers(lookupd: Daemon) -> None:
    post(lookupd.http_address, "/topic/create?topic=t")
    assert lookup(lookupd, "t") == {"channels": [], "producers": []}


def test_channel_create_registers_both(lookupd: Daemon) -> None:
    assert post(lookupd.http_address, "/channel/create?topic=t&channel=c").status == 200
    assert lookup(lookupd, "t") == {"channels": ["c"], "producers": []}
    assert post(lookupd.http_address, "/channel/delete?topic=t&channel=c").status == 200
    assert lookup(lookupd, "t") == {"channels": [], "producers": []}


def test_c_lkd_16_delete_takes_the_channels(lookupd: Daemon, node: LookupWire) -> None:
    node.ask("REGISTER t c")
    assert post(lookupd.http_address, "/topic/delete?topic=t").status == 200
    assert get(lookupd.http_address, "/lookup?topic=t").status == 404
    assert channels(lookupd, "t") == []


def test_c_lkd_18_tombstone_hides_for_its_lifetime(start_nsqlookupd: Callable[..., Daemon]) -> None:
    lookupd = start_nsqlookupd(tombstone_lifetime=1.0)
    with LookupWire(lookupd.tcp_address) as node:
        node.identify()
        for topic in "t", "u":
            node.ask(f"REGISTER {topic}")
        assert post(lookupd.http_address, f"/topic/tombstone?topic=t&node={NODE}").status == 200
        assert lookup(lookupd, "t")["producers"] == []
        (entry,) = nodes(lookupd)
        assert dict(zip(entry["topics"], entry["tombstones"], strict=True)) == {"t": True, "u": False}
        assert len(lookup(lookupd, "u")["producers"]) == 1
        eventually(lambda: len(lookup(lookupd, "t")["producers"]) == 1)
        (entry,) = nodes(lookupd)
        assert entry["tombstones"] == [False, False]


def test_c_lkd_19_tombstone_then_unregister(lookupd: Daemon, node: LookupWire) -> None:
    node.ask("REGISTER t")
    post(lookupd.http_address, f"/topic/tombstone?topic=t&node={NODE}")
    node.ask("UNREGISTER t")
    (entry,) = nodes(lookupd)
    assert entry["topics"] == []
    node.ask("REGISTER t")
    assert len(lookup(lookupd, "t")["producers"]) == 1


def test_registering_again_keeps_the_tombstone(lookupd: Daemon, node: LookupWire) -> None:
    node.ask("REGISTER t")
    post(lookupd.http_address, f"/topic/tombstone?topic=t&node={NODE}")
    node.ask("REGISTER t")
    assert lookup(lookupd, "t")["producers"] == []


def test_c_lkd_20_silent_node_is_hidden_until_its_ping(start_nsqlookupd: Callable[..., Daemon]) -> None:
    lookupd = start_nsqlookupd(inactive_producer_timeout=0.5)
    with LookupWire(lookupd.tcp_address) as node:
        node.identify()
        node.ask("REGISTER t")
        eventually(lambda: nodes(lookupd) == [])
        assert lookup(lookupd, "t")["producers"] == []
        eventually(lambda: node.ask("PING") == b"OK" and len(nodes(lookupd)) == 1)
        eventually(lambda: node.ask("PING") == b"OK" and len(lookup(lookupd, "t")["producers"]) == 1)


def test_debug_lists_registrations(lookupd: Daemon, node: LookupWire) -> None:
    node.ask("REGISTER t c")
    document = get(lookupd.http_address, "/debug").json
    assert set(document) == {"client::", "topic:t:", "channel:t:c"}
    (entry,) = document["topic:t:"]
    assert entry.keys() - NEWER == {
        "id",
        "hostname",
        "broadcast_address",
        "tcp_port",
        "http_port",
        "version",
        "last_update",
        "tombstoned",
        "tombstoned_at",
    }
    assert (entry["tombstoned"], entry["tombstoned_at"]) == (False, -6795364578871345152)
