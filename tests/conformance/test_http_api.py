"""nsqd's HTTP API (nsqd-http): a table of requests and answers, then what they do."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from harness.daemons import Daemon
from harness.http import Answer, announce, call, channel_stats, get, post, stats
from harness.polling import eventually
from harness.wire import Socket, Wire, mpub_body

MAX_MESSAGE = 1024 * 1024
MAX_BODY = 5 * 1024 * 1024


class Row(NamedTuple):
    name: str
    request: str  # method and path; TOPIC has the channel ch, FRESH does not exist
    status: int
    answer: str  # the body of a success, the code of an error
    body: bytes = b""


def binary(*bodies: bytes) -> bytes:
    return mpub_body(*bodies)[4:]


ROWS = [
    Row("c_http_1_pub", "POST /pub?topic=TOPIC", 200, "OK", b"x"),
    Row("c_http_2_pub_empty", "POST /pub?topic=TOPIC", 400, "MSG_EMPTY"),
    Row("c_http_2_pub_empty_no_topic", "POST /pub", 400, "MSG_EMPTY"),
    Row("c_http_3_pub_no_topic", "POST /pub", 400, "MISSING_ARG_TOPIC", b"x"),
    Row("c_http_3_pub_bad_topic", "POST /pub?topic=a%20b", 400, "INVALID_TOPIC", b"x"),
    Row("pub_bad_escape", "POST /pub?topic=%zz", 400, "INVALID_REQUEST", b"x"),
    Row("pub_semicolon", "POST /pub?topic=TOPIC;x=1", 400, "INVALID_REQUEST", b"x"),
    Row("pub_first_value_wins", "POST /pub?topic=TOPIC&topic=a%20b", 200, "OK", b"x"),
    Row("pub_topic_in_body_only", "POST /pub", 400, "MISSING_ARG_TOPIC", b"topic=TOPIC"),
    Row("c_http_4_pub_largest", "POST /pub?topic=FRESH", 200, "OK", b"m" * MAX_MESSAGE),
    Row("c_http_5_defer", "POST /pub?topic=FRESH&defer=1000", 200, "OK", b"x"),
    Row("c_http_5_defer_largest", "POST /pub?topic=FRESH&defer=3600000", 200, "OK", b"x"),
    Row("c_http_5_defer_negative", "POST /pub?topic=FRESH&defer=-1", 400, "INVALID_DEFER", b"x"),
    Row("c_http_5_defer_word", "POST /pub?topic=FRESH&defer=x", 400, "INVALID_DEFER", b"x"),
    Row("c_http_5_defer_digits", f"POST /pub?topic=FRESH&defer={'9' * 5000}", 400, "INVALID_DEFER", b"x"),
    Row("c_http_5_defer_empty", "POST /pub?topic=FRESH&defer=", 400, "INVALID_DEFER", b"x"),
    Row("c_http_5_defer_too_late", "POST /pub?topic=FRESH&defer=3600001", 400, "INVALID_DEFER", b"x"),
    Row("c_http_6_mpub_empty", "POST /mpub?topic=TOPIC", 200, "OK"),
    Row("mpub_no_topic", "POST /mpub", 400, "MISSING_ARG_TOPIC", b"x"),
    Row("mpub_bad_topic", "POST /mpub?topic=a%20b", 400, "INVALID_TOPIC", b"x"),
    Row("mpub_line_too_big", "POST /mpub?topic=FRESH", 413, "MSG_TOO_BIG", b"m" * (MAX_MESSAGE + 1) + b"\n"),
    Row("c_http_8_count_0", "POST /mpub?topic=FRESH&binary=true", 413, "BAD_BODY", binary()),
    Row(
        "c_http_8_empty_message", "POST /mpub?topic=FRESH&binary=true", 413, "BAD_MESSAGE", binary(b"a", b"")
    ),
    Row(
        "mpub_binary_short", "POST /mpub?topic=FRESH&binary=true", 413, "BAD_MESSAGE", binary(b"a", b"b")[:-1]
    ),
    Row("mpub_binary_nothing", "POST /mpub?topic=FRESH&binary=true", 413, "BAD_BODY"),
    Row(
        "mpub_binary_huge_message",
        "POST /mpub?topic=FRESH&binary=true",
        413,
        "BAD_MESSAGE",
        struct.pack(">ii", 1, MAX_MESSAGE + 1),
    ),
    Row("c_http_9_get_pub", "GET /pub?topic=TOPIC", 405, "METHOD_NOT_ALLOWED"),
    Row("c_http_9_unknown", "GET /nope", 404, "NOT_FOUND"),
    Row("post_stats", "POST /stats", 405, "METHOD_NOT_ALLOWED"),
    Row("get_topic_create", "GET /topic/create?topic=FRESH", 405, "METHOD_NOT_ALLOWED"),
    Row("legacy_put", "POST /put?topic=TOPIC", 404, "NOT_FOUND", b"x"),
    Row("legacy_create_topic", "POST /create_topic?topic=TOPIC", 404, "NOT_FOUND"),
    Row("c_http_10_create", "POST /topic/create?topic=FRESH", 200, ""),
    Row("c_http_10_create_again", "POST /topic/create?topic=TOPIC", 200, ""),
    Row("create_no_topic", "POST /topic/create", 400, "MISSING_ARG_TOPIC"),
    Row("create_bad_topic", "POST /topic/create?topic=bad$", 400, "INVALID_TOPIC"),
    Row("c_http_11_delete_unknown", "POST /topic/delete?topic=FRESH", 404, "TOPIC_NOT_FOUND"),
    Row("c_http_11_delete_no_topic", "POST /topic/delete", 400, "MISSING_ARG_TOPIC"),
    Row("delete_bad_topic", "POST /topic/delete?topic=bad$", 404, "TOPIC_NOT_FOUND"),
    Row("c_http_12_empty_bad_topic", "POST /topic/empty?topic=bad$", 400, "INVALID_TOPIC"),
    Row("c_http_12_pause_bad_topic", "POST /topic/pause?topic=bad$", 404, "TOPIC_NOT_FOUND"),
    Row("empty_unknown", "POST /topic/empty?topic=FRESH", 404, "TOPIC_NOT_FOUND"),
    Row("empty_topic", "POST /topic/empty?topic=TOPIC", 200, ""),
    Row("pause_topic", "POST /topic/pause?topic=TOPIC", 200, ""),
    Row("unpause_topic", "POST /topic/unpause?topic=TOPIC", 200, ""),
    Row("unpause_no_topic", "POST /topic/unpause", 400, "MISSING_ARG_TOPIC"),
    Row("c_http_13_channel_of_unknown", "POST /channel/create?topic=FRESH&channel=c", 404, "TOPIC_NOT_FOUND"),
    Row("channel_create", "POST /channel/create?topic=TOPIC&channel=c2", 200, ""),
    Row("channel_create_again", "POST /channel/create?topic=TOPIC&channel=ch", 200, ""),
    Row("channel_no_topic", "POST /channel/create?channel=c", 400, "MISSING_ARG_TOPIC"),
    Row("channel_bad_topic", "POST /channel/create?topic=bad$&channel=c", 400, "INVALID_ARG_TOPIC"),
    Row("channel_create_no_channel", "POST /channel/create?topic=TOPIC", 400, "MISSING_ARG_CHANNEL"),
    Row("c_http_14_no_channel", "POST /channel/empty?topic=TOPIC", 400, "MISSING_ARG_CHANNEL"),
    Row("c_http_14_unknown", "POST /channel/empty?topic=TOPIC&channel=x", 404, "CHANNEL_NOT_FOUND"),
    Row("c_http_14_bad", "POST /channel/empty?topic=TOPIC&channel=x$", 400, "INVALID_ARG_CHANNEL"),
    Row("channel_delete_unknown", "POST /channel/delete?topic=TOPIC&channel=x", 404, "CHANNEL_NOT_FOUND"),
    Row("channel_pause_unknown", "POST /channel/pause?topic=TOPIC&channel=x", 404, "CHANNEL_NOT_FOUND"),
    Row("channel_pause", "POST /channel/pause?topic=TOPIC&channel=ch", 200, ""),
    Row("channel_unpause", "POST /channel/unpause?topic=TOPIC&channel=ch", 200, ""),
    Row("channel_empty", "POST /channel/empty?topic=TOPIC&channel=ch", 200, ""),
    Row("channel_delete", "POST /channel/delete?topic=TOPIC&channel=ch", 200, ""),
    Row("stats_bad_escape", "GET /stats?topic=%zz", 400, "INVALID_REQUEST"),
    Row("c_http_23_log_level_bad", "PUT /config/log_level", 400, "INVALID_VALUE", b"x"),
    Row("c_http_23_not_settable", "PUT /config/max_msg_size", 400, "INVALID_OPTION", b"10"),
    Row("config_empty_value", "PUT /config/log_level", 413, "INVALID_VALUE"),
    Row("config_unknown", "GET /config/nope", 400, "INVALID_OPTION"),
    Row("config_duration", "GET /config/msg_timeout", 200, "60000000000"),
    Row("config_number", "GET /config/mem_queue_size", 200, "10000"),
    Row("c_http_22_no_lookupd", "GET /config/nsqlookupd_tcp_addresses", 200, "[]"),
]


@pytest.fixture
def fresh(topic: str, broker: Daemon) -> Iterator[str]:
    """A name of a topic that does not exist yet."""
    yield f"{topic}-fresh"
    post(broker.http_address, f"/topic/delete?topic={topic}-fresh")


@pytest.fixture
def made(broker: Daemon, topic: str) -> str:
    """A topic with a channel `ch`."""
    assert post(broker.http_address, f"/topic/create?topic={topic}").status == 200
    assert post(broker.http_address, f"/channel/create?topic={topic}&channel=ch").status == 200
    return topic


def topic_stats(broker: Daemon, topic: str) -> dict[str, object]:
    (entry,) = stats(broker.http_address, f"&topic={topic}")["topics"]
    return dict(entry)


def assert_answer(answer: Answer, status: int, expected: str) -> None:
    assert answer.headers["x-nsq-content-type"] == "nsq; version=1.0"
    if status == 200:
        assert (answer.status, answer.body.decode()) == (status, expected)
    else:
        assert (answer.status, answer.message) == (status, expected)
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_http_row(row: Row, broker: Daemon, made: str, fresh: str) -> None:
    method, _, path = row.request.replace("TOPIC", made).replace("FRESH", fresh).partition(" ")
    assert_answer(call(broker.http_address, method, path, row.body), row.status, row.answer)


@pytest.mark.parametrize(
    ("path", "length", "code"),
    [("/pub", 10 * MAX_MESSAGE, "MSG_TOO_BIG"), ("/mpub", 10 * MAX_BODY, "BODY_TOO_BIG")],
)
def test_c_http_4_too_big_is_refused_unread(
    broker: Daemon, fresh: str, path: str, length: int, code: str
) -> None:
    assert_answer(announce(broker.http_address, f"{path}?topic={fresh}", length), 413, code)


def test_c_http_4_too_big_in_chunks(broker: Daemon, fresh: str) -> None:
    chunks = [b"m" * 65536] * (MAX_MESSAGE // 65536)
    assert post(broker.http_address, f"/pub?topic={fresh}", iter(chunks)).status == 200
    answer = post(broker.http_address, f"/pub?topic={fresh}", iter([*chunks, b"m"]))
    assert_answer(answer, 413, "MSG_TOO_BIG")


def test_c_http_5_defer_shows_in_stats(broker: Daemon, made: str) -> None:
    assert post(broker.http_address, f"/pub?topic={made}&defer=60000", b"later").status == 200
    eventually(lambda: channel_stats(broker.http_address, made, "ch")["deferred_count"] == 1)
    assert channel_stats(broker.http_address, made, "ch")["depth"] == 0


def test_a_bad_defer_makes_the_topic_all_the_same(broker: Daemon, fresh: str) -> None:
    assert post(broker.http_address, f"/pub?topic={fresh}&defer=x", b"x").status == 400
    assert topic_stats(broker, fresh)["message_count"] == 0


@pytest.mark.parametrize(
    ("query", "body", "messages"),
    [
        ("", b"a\nb\n\nc", [b"a", b"b", b"c"]),
        ("", b"a\r\nb\n", [b"a\r", b"b"]),
        ("&binary=0", b"a\nb", [b"a", b"b"]),
        ("&binary=false", b"a\nb", [b"a", b"b"]),
        ("&binary=true", binary(b"a\nb", b"c"), [b"a\nb", b"c"]),
        ("&binary=anything", binary(b"a\nb"), [b"a\nb"]),
        ("&binary=", binary(b"a"), [b"a"]),
        ("&binary=1", binary(b"a") + b"ignored", [b"a"]),
    ],
)
def test_c_http_6_7_mpub_modes(
    broker: Daemon, wire: Wire, topic: str, query: str, body: bytes, messages: list[bytes]
) -> None:
    assert_answer(post(broker.http_address, f"/mpub?topic={topic}{query}", body), 200, "OK")
    wire.subscribe(topic, "ch", rdy=10)
    assert [wire.message().body for _ in messages] == messages
    assert wire.is_silent(0.1)


def test_c_http_8_a_bad_batch_publishes_nothing(broker: Daemon, topic: str) -> None:
    assert post(broker.http_address, f"/mpub?topic={topic}&binary=true", binary(b"good", b"")).status == 413
    assert topic_stats(broker, topic)["message_count"] == 0


def test_c_http_9_allowed_methods_are_named(broker: Daemon) -> None:
    assert "POST" in get(broker.http_address, "/pub").headers["allow"]
    options = call(broker.http_address, "OPTIONS", "/pub")
    assert (options.status, options.body) == (200, b"")
    assert "POST" in options.headers["allow"]


def test_options_of_the_server_itself(broker: Daemon) -> None:
    options = call(broker.http_address, "OPTIONS", "*")
    assert (options.status, options.body) == (200, b"")


def test_a_redirect_has_a_link(broker: Daemon) -> None:
    moved = call(broker.http_address, "GET", "/ping/?a=<b>&x='%C3%BC")
    assert (moved.status, moved.headers["location"]) == (301, "/ping?a=<b>&x='%C3%BC")
    assert moved.headers["content-type"] == "text/html; charset=utf-8"
    assert moved.body == b'<a href="/ping?a=&lt;b&gt;&amp;x=&#39;%C3%BC">Moved Permanently</a>.\n\n'
    posted = call(broker.http_address, "POST", "/topic/create/?topic=t")
    assert (posted.status, posted.headers["location"], posted.body) == (307, "/topic/create?topic=t", b"")


def test_no_lookupds_by_null(broker: Daemon) -> None:
    assert call(broker.http_address, "PUT", "/config/nsqlookupd_tcp_addresses", b"null").status == 200


@pytest.mark.parametrize(("delay", "status"), [(2**63 - 1, 400), (-(2**63), 200), (2**63, 400)])
def test_a_defer_in_nanoseconds_wraps(broker: Daemon, topic: str, delay: int, status: int) -> None:
    assert post(broker.http_address, f"/pub?topic={topic}&defer={delay}", b"x").status == status


def test_c_http_11_delete_closes_the_consumers(broker: Daemon, wire: Wire, topic: str) -> None:
    wire.subscribe(topic, "ch")
    assert post(broker.http_address, f"/topic/delete?topic={topic}").status == 200
    assert wire.is_closed()
    assert stats(broker.http_address, f"&topic={topic}")["topics"] is None


def test_c_http_13_channel_create_makes_no_topic(broker: Daemon, fresh: str) -> None:
    assert post(broker.http_address, f"/channel/create?topic={fresh}&channel=c").status == 404
    assert stats(broker.http_address, f"&topic={fresh}")["topics"] is None


def test_c_http_15_channel_delete_closes_its_consumers(
    broker: Daemon, connect: Callable[..., Wire], topic: str
) -> None:
    gone, stays = connect(), connect()
    gone.subscribe(topic, "gone")
    stays.subscribe(topic, "stays")
    assert post(broker.http_address, f"/channel/delete?topic={topic}&channel=gone").status == 200
    assert gone.is_closed()
    stays.ok(b"PUB " + topic.encode(), b"x")
    assert not channel_stats(broker.http_address, topic, "gone")


def test_c_http_16_pause_shows_in_stats(broker: Daemon, made: str) -> None:
    for action, expected in ("pause", True), ("pause", True), ("unpause", False):
        assert post(broker.http_address, f"/topic/{action}?topic={made}").status == 200
        assert post(broker.http_address, f"/channel/{action}?topic={made}&channel=ch").status == 200
        assert topic_stats(broker, made)["paused"] is expected
        assert channel_stats(broker.http_address, made, "ch")["paused"] is expected


def test_c_http_21_info(broker: Daemon) -> None:
    answer = get(broker.http_address, "/info")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    info = answer.json
    for newer in "topology_zone", "topology_region":  # came after 1.3.0
        assert info.pop(newer, "") == ""
    assert isinstance(info.pop("start_time"), int)
    assert info.pop("hostname")
    assert info.pop("broadcast_address")
    assert info == {
        "version": "1.3.0",
        "http_port": int(broker.http_address.rpartition(":")[2]),
        "tcp_port": int(broker.tcp_address.rpartition(":")[2]),
        "max_heartbeat_interval": 60_000_000_000,
        "max_output_buffer_size": 65536,
        "max_output_buffer_timeout": 30_000_000_000,
        "max_deflate_level": 6,
    }


def test_c_http_22_lookupd_addresses_can_be_set(start_nsqd: Callable[..., Daemon]) -> None:
    daemon = start_nsqd()
    path = "/config/nsqlookupd_tcp_addresses"
    answer = call(daemon.http_address, "PUT", path, b'["127.0.0.1:1"]')
    assert (answer.status, answer.json) == (200, ["127.0.0.1:1"])
    assert get(daemon.http_address, path).json == ["127.0.0.1:1"]


def test_c_http_23_log_level_can_be_set(start_nsqd: Callable[..., Daemon]) -> None:
    daemon = start_nsqd()
    for level, number in ("fatal", b"5"), ("DEBUG", b"1"), ("info", b"2"):
        answer = call(daemon.http_address, "PUT", "/config/log_level", level.encode())
        assert (answer.status, answer.body) == (200, number)


def test_c_nsqd_21_node_id(start_nsqd: Callable[..., Daemon], broker: Daemon) -> None:
    assert 0 <= int(get(broker.http_address, "/config/id").body) <= 1023
    daemon = start_nsqd(node_id=77)
    assert get(daemon.http_address, "/config/id").body == b"77"
    with Wire(daemon.tcp_address) as wire:
        wire.ok(b"PUB t", b"x")
        wire.subscribe("t", "ch", rdy=1)
        assert int(wire.message().id, 16) >> 12 & 1023 == 77


def test_c_http_25_ping(broker: Daemon) -> None:
    answer = get(broker.http_address, "/ping")
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "x-nsq-content-type" not in answer.headers


def test_c_http_26_ephemeral_names(broker: Daemon, fresh: str) -> None:
    name, pair = f"{fresh}%23ephemeral", f"topic={fresh}%23ephemeral&channel=c%23ephemeral"
    for path in (
        f"/topic/create?topic={name}",
        f"/channel/create?{pair}",
        f"/topic/pause?topic={name}",
        f"/topic/unpause?topic={name}",
        f"/topic/empty?topic={name}",
        f"/channel/pause?{pair}",
        f"/channel/empty?{pair}",
        f"/channel/delete?{pair}",
    ):
        assert_answer(post(broker.http_address, path), 200, "")
    eventually(lambda: stats(broker.http_address, f"&topic={name}")["topics"] is None)


@pytest.mark.parametrize(
    "sent",
    [b"  V2IDENTIFY\n\x00\x00\x00\x02{}", b"PUB topic\n", b"GET /ping\r\n", b"\r\nGET /ping HTTP/1.1\r\n"],
)
def test_what_is_no_http_is_told_at_its_first_line(broker: Daemon, sent: bytes) -> None:
    wrong = Socket(broker.http_address)
    wrong.send(sent)
    assert wrong.remainder().startswith(b"HTTP/1.1 ")
    wrong.close()


def test_a_head_may_come_in_pieces(broker: Daemon) -> None:
    slow = Socket(broker.http_address)
    for piece in b"GET /pi", b"ng HTTP/1.1\r", b"\nHost: x\r\nConnection: close\r", b"\n\r\n":
        slow.send(piece)
    assert slow.remainder().startswith(b"HTTP/1.1 200 OK\r\n")
    slow.close()


def test_c_http_28_empty(broker: Daemon, wire: Wire, topic: str) -> None:
    post(broker.http_address, f"/topic/create?topic={topic}")
    post(broker.http_address, f"/channel/create?topic={topic}&channel=ch")
    for body in b"1", b"2", b"3":
        wire.ok(b"PUB " + topic.encode(), body)
    wire.ok(f"DPUB {topic} 60000".encode(), b"later")
    wire.subscribe(topic, "ch", rdy=1)
    message = wire.message()

    def counts() -> tuple[int, int, int]:
        state = channel_stats(broker.http_address, topic, "ch")
        return state["depth"], state["in_flight_count"], state["deferred_count"]

    eventually(lambda: counts() == (2, 1, 1))
    assert post(broker.http_address, f"/topic/empty?topic={topic}").status == 200
    assert counts() == (2, 1, 1)
    wire.send(b"RDY 0\n")
    assert post(broker.http_address, f"/channel/empty?topic={topic}&channel=ch").status == 200
    assert counts() == (0, 0, 0)
    assert wire.ask(b"FIN " + message.id).data.startswith(b"E_FIN_FAILED")
