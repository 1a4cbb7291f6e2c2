"""What answers of nsqlookupds mean, those of liars and of old versions included."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsqgw.errors import BadAnswer, HttpError
from nsqgw.http.answer import Answer
from nsqgw.lookup.client import Found, read, refused

V1 = {"X-NSQ-Content-Type": "nsq; version=1.0"}


def found(document: Any, status: int = 200, headers: dict[str, str] = V1) -> Found:
    return understood(Answer(status, headers, json.dumps(document).encode(), "lookupd: GET /lookup"))


def understood(answer: Answer) -> Found:
    error = refused(answer)
    if error is not None:
        raise error
    return read(answer)


def producer(host: Any = "node", port: Any = 4150) -> dict[str, Any]:
    return {"broadcast_address": host, "tcp_port": port}


def test_producers_and_channels() -> None:
    answer = found(
        {"channels": ["a", "b"], "producers": [producer(), producer("10.0.0.1", 5), producer("::1")]}
    )
    assert answer.nsqd_tcp_addresses == {"node:4150", "10.0.0.1:5", "[::1]:4150"}
    assert answer.channels == {"a", "b"}
    assert answer.malformed == 0


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("document", [{"message": "TOPIC_NOT_FOUND"}, {"status_txt": "TOPIC_NOT_FOUND"}])
def test_c_cli_22_an_unknown_topic_is_no_error(status: int, document: dict[str, str]) -> None:
    assert found(document, status) == Found()


def test_c_cli_25_wrapped_answers_of_old_versions() -> None:
    data = {"channels": ["c"], "producers": [{"address": "old", "tcp_port": 4150}]}
    answer = found({"status_code": 200, "status_txt": "OK", "data": data}, headers={})
    assert answer == Found(frozenset({"old:4150"}), frozenset({"c"}))
    assert found(data, headers={}) == answer


@pytest.mark.parametrize(
    "liar",
    [None, 5, "node:4150", [], {}, producer(""), producer(None), producer("/tmp/socket"), producer("a b")]
    + [producer(port=port) for port in (0, -1, 65536, "4150", 4150.0, True, None)],
)
def test_a_senseless_producer_does_not_hide_the_others(liar: Any) -> None:
    answer = found({"producers": [producer(), liar]})
    assert answer == Found(frozenset({"node:4150"}), malformed=1)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b"", "no JSON"),
        (200, b"\xff\xfe", "no JSON"),
        (200, b"<html>", "<html>"),
        (200, b"[" * 100_000, "no JSON"),
        (200, b"[]", "no JSON object"),
        (200, b"{}", "without producers"),
        (200, b'{"data":null}', "no JSON object"),
        (200, b'{"producers":{}}', "without producers"),
        (404, b'{"message":"NOT_FOUND"}', "404"),
        (500, b'{"message":"INTERNAL_ERROR"}', "INTERNAL_ERROR"),
        (302, b"{}", "302"),
    ],
)
def test_what_is_no_answer(status: int, body: bytes, told: str) -> None:
    with pytest.raises((BadAnswer, HttpError)) as raised:
        understood(Answer(status, {}, body, "lookupd: GET /lookup"))
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
def test_any_json_is_an_answer_or_an_error(document: Any, status: int, headers: Any) -> None:
    with contextlib.suppress(BadAnswer, HttpError):
        found(document, status, headers)
