"""Clients of before NSQ 1.0 on our daemons, which serve them when asked to; the originals no longer do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.daemons import Daemon
from harness.embedded import EmbeddedNsqd, EmbeddedNsqlookupd
from harness.http import Answer, call, get, post, stats
from harness.wire import LookupWire, Wire, mpub_body

V1 = {"Accept": "application/vnd.nsq; version=1.0"}


@pytest.fixture
def nsqd() -> Iterator[Daemon]:
    daemon = EmbeddedNsqd(legacy_http=True)
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def lookupd() -> Iterator[Daemon]:
    daemon = EmbeddedNsqlookupd(legacy_http=True)
    daemon.start()
    yield daemon
    daemon.close()


def data(answer: Answer) -> object:
    """What an answer of before 1.0 wraps."""
    assert answer.status == 200, answer
    assert list(answer.json) == ["status_code", "status_txt", "data"]
    assert (answer.json["status_code"], answer.json["status_txt"]) == (200, "OK")
    assert "x-nsq-content-type" not in answer.headers
    return answer.json["data"]


def refusal(answer: Answer) -> str:
    assert (answer.status, answer.json["status_code"], answer.json["data"]) == (500, 500, None)
    return str(answer.json["status_txt"])


def depth(nsqd: Daemon, topic: str) -> int:
    (entry,) = stats_of(nsqd, topic)
    return int(entry["depth"])


def stats_of(nsqd: Daemon, topic: str) -> list[dict[str, int]]:
    document = call(nsqd.http_address, "GET", f"/stats?format=json&topic={topic}", **V1).json
    return document["topics"] or []


def test_publishing(nsqd: Daemon) -> None:
    for path, body in (
        ("/put?topic=t", b"one"),
        ("/mput?topic=t", b"two\nthree"),
        ("/mput?topic=t&binary=false", mpub_body(b"four", b"five")[4:]),
        ("/pub?topic=t", b"six"),
    ):
        answer = post(nsqd.http_address, path, body)
        assert (answer.status, answer.body) == (200, b"OK")
    assert depth(nsqd, "t") == 6
    assert refusal(post(nsqd.http_address, "/put?topic=t")) == "MSG_EMPTY"
    assert refusal(post(nsqd.http_address, "/put", b"x")) == "MISSING_ARG_TOPIC"
    assert refusal(post(nsqd.http_address, "/put?topic=t", b"x" * 1_100_000)) == "MSG_TOO_BIG"
    assert get(nsqd.http_address, "/put?topic=t").status == 405


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_topics_and_channels(nsqd: Daemon, method: str) -> None:
    def old(path: str) -> Answer:
        return call(nsqd.http_address, method, path)

    assert data(old("/create_topic?topic=t")) is None
    assert data(old("/create_channel?topic=t&channel=c")) is None
    for of in "topic?topic=t", "channel?topic=t&channel=c":
        for action in "pause", "unpause", "empty":
            assert data(old(f"/{action}_{of}")) is None
    assert data(old("/delete_channel?topic=t&channel=c")) is None
    assert data(old("/delete_topic?topic=t")) is None
    assert refusal(old("/delete_topic?topic=t")) == "TOPIC_NOT_FOUND"
    assert stats_of(nsqd, "t") == []


def test_info_and_stats_are_negotiated(nsqd: Daemon) -> None:
    for path in "/info", "/stats?format=json":
        wrapped = data(get(nsqd.http_address, path))
        bare = call(nsqd.http_address, "GET", path, **V1)
        assert bare.headers["x-nsq-content-type"] == "nsq; version=1.0"
        assert wrapped.keys() == bare.json.keys()
    assert get(nsqd.http_address, "/stats").body.startswith(b"nsqd v1.3.0")
    assert get(nsqd.http_address, "/config/max_msg_size").body == b"1048576"
    assert get(nsqd.http_address, "/nope").message == "NOT_FOUND"


def test_lookups(lookupd: Daemon) -> None:
    http = lookupd.http_address
    with LookupWire(lookupd.tcp_address) as node:
        node.identify(hostname="node", http_port=4151)
        node.ask("REGISTER t c")
        found = data(get(http, "/lookup?topic=t"))
        assert found["channels"] == ["c"]
        (producer,) = found["producers"]
        assert (producer["hostname"], producer["tcp_port"], producer["http_port"]) == ("node", 4150, 4151)
        assert call(http, "GET", "/lookup?topic=t", **V1).json == found
        assert refusal(get(http, "/lookup?topic=nobody")) == "TOPIC_NOT_FOUND"
        assert data(get(http, "/topics")) == {"topics": ["t"]}
        assert data(get(http, "/channels?topic=t")) == {"channels": ["c"]}
        assert len(data(get(http, "/nodes"))["producers"]) == 1
        assert data(get(http, "/tombstone_topic_producer?topic=t&node=node.example:4151")) is None
        assert data(get(http, "/lookup?topic=t"))["producers"] == []


def test_what_is_made_at_nsqlookupd(lookupd: Daemon) -> None:
    http = lookupd.http_address
    for path in "/create_topic?topic=u", "/create_channel?topic=u&channel=c":
        assert data(get(http, path)) is None
        assert data(post(http, path)) is None
    assert data(get(http, "/channels?topic=u")) == {"channels": ["c"]}
    assert data(post(http, "/delete_channel?topic=u&channel=c")) is None
    assert refusal(post(http, "/delete_channel?topic=u&channel=c")) == "CHANNEL_NOT_FOUND"
    assert data(post(http, "/delete_topic?topic=u")) is None
    assert data(get(http, "/topics")) == {"topics": []}
    assert data(get(http, "/info")) == {"version": "1.3.0"}


def test_short_id_and_long_id_are_shown() -> None:
    daemon = EmbeddedNsqd()
    daemon.start()
    with Wire(daemon.tcp_address) as wire:
        wire.identify(short_id="short", long_id="long.example")
        wire.ok(b"PUB t", b"x")
        (producer,) = stats(daemon.http_address)["producers"]
        assert (producer["client_id"], producer["hostname"]) == ("short", "long.example")
        wire.identify(short_id="short", long_id="long.example", client_id="me", hostname="here")
        (producer,) = stats(daemon.http_address)["producers"]
        assert (producer["client_id"], producer["hostname"]) == ("me", "here")
    daemon.close()
