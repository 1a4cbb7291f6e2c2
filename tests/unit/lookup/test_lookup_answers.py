"""What answers of nsqlookupds mean, those of liars and of old versions included."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsqgw.errors import ConfigError, DiscoveryError
from nsqgw.lookup.client import Answer, lookup_url, read_answer
from nsqgw.lookup.http_get import HttpAnswer

V1 = {"X-NSQ-Content-Type": "nsq; version=1.0"}


def read(document: Any, status: int = 200, headers: dict[str, str] = V1) -> Answer:
    return read_answer(HttpAnswer(status, headers, json.dumps(document).encode()))


def producer(host: Any = "node", port: Any = 4150) -> dict[str, Any]:
    return {"broadcast_address": host, "tcp_port": port}


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1:4161", "http://127.0.0.1:4161/lookup"),
        ("lookup.example:4161/", "http://lookup.example:4161/lookup"),
        ("http://lookup.example:4161", "http://lookup.example:4161/lookup"),
        ("https://lookup.example", "https://lookup.example/lookup"),
        ("https://lookup.example/nsq/lookup?dc=1", "https://lookup.example/nsq/lookup?dc=1"),
        ("[::1]:4161", "http://[::1]:4161/lookup"),
    ],
)
def test_addresses(address: str, url: str) -> None:
    assert lookup_url(address).geturl() == url


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        "host:",
        "host:port",
        "host:0",
        "host:65536",
        ":4161",
        "ftp://host:1",
        "a b:4161",
        "::1:4161",
    ]
    + ["http://u:secret@host:4161", None, 4161],
)
def test_what_is_no_address(address: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        lookup_url(address)
    assert "127.0.0.1:4161" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_producers_and_channels() -> None:
    answer = read(
        {"channels": ["a", "b"], "producers": [producer(), producer("10.0.0.1", 5), producer("::1")]}
    )
    assert answer.nsqd_tcp_addresses == {"node:4150", "10.0.0.1:5", "[::1]:4150"}
    assert answer.channels == {"a", "b"}
    assert answer.malformed == 0


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("document", [{"message": "TOPIC_NOT_FOUND"}, {"status_txt": "TOPIC_NOT_FOUND"}])
def test_c_cli_22_an_unknown_topic_is_no_error(status: int, document: dict[str, str]) -> None:
    assert read(document, status) == Answer()


def test_c_cli_25_wrapped_answers_of_old_versions() -> None:
    data = {"channels": ["c"], "producers": [{"address": "old", "tcp_port": 4150}]}
    answer = read({"status_code": 200, "status_txt": "OK", "data": data}, headers={})
    assert answer == Answer(frozenset({"old:4150"}), frozenset({"c"}))
    assert read(data, headers={}) == answer


@pytest.mark.parametrize(
    "liar",
    [None, 5, "node:4150", [], {}, producer(""), producer(None), producer("/tmp/socket"), producer("a b")]
    + [producer(port=port) for port in (0, -1, 65536, "4150", 4150.0, True, None)],
)
def test_a_senseless_producer_does_not_hide_the_others(liar: Any) -> None:
    answer = read({"producers": [producer(), liar]})
    assert answer == Answer(frozenset({"node:4150"}), malformed=1)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b"", "no JSON"),
        (200, b"\xff\xfe", "no JSON"),
        (200, b"<html>", "<html>"),
        (200, b"[" * 100_000, "no JSON"),
        (200, b"[]", "no JSON object"),
        (200, b"{}", "without producers"),
        (200, b'{"data":null}', "without producers"),
        (200, b'{"producers":{}}', "without producers"),
        (404, b'{"message":"NOT_FOUND"}', "404"),
        (500, b'{"message":"INTERNAL_ERROR"}', "INTERNAL_ERROR"),
        (302, b"{}", "302"),
    ],
)
def test_what_is_no_answer(status: int, body: bytes, told: str) -> None:
    with pytest.raises(DiscoveryError) as raised:
        read_answer(HttpAnswer(status, {}, body))
    assert told in str(raised.value)
    assert len(str(raised.value)) < 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text() | st.sampled_from(["producers", "data", "channels", "tcp_port", "broadcast_address"]),
            inner,
        )
    ),
)


@given(JSON, st.sampled_from([200, 404, 500]), st.sampled_from([{}, V1]))
def test_any_json_is_an_answer_or_a_discovery_error(document: Any, status: int, headers: Any) -> None:
    with contextlib.suppress(DiscoveryError):
        read(document, status, headers)
