"""Request heads and answers as bytes."""

from __future__ import annotations

import contextlib
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.push.http import BadRequest, Response, error_response, parse_request


def test_a_head_is_parsed() -> None:
    raw = (
        b"GET /stream/a%20b?x=1 HTTP/1.1\r\nHost: h:80\r\nAccept: text/html;q=1, text/event-stream\r\n"
        b"Upgrade:\twebsocket \r\nCookie: a\r\ncookie: b\r\n\r\n"
    )
    request = parse_request(raw)
    assert (request.method, request.path, request.query) == ("GET", "/stream/a b", "x=1")
    assert request.headers["host"] == "h:80"
    assert request.headers["cookie"] == "a, b"
    assert request.wants_upgrade
    assert request.accepts("text/event-stream")
    assert not request.accepts("application/json")
    assert request.raw == raw


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: b\r\nOrigin: c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    ],
)
def test_a_malformed_head_is_refused(raw: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_request(raw)
    assert refused.value.status == status


@given(st.binary(max_size=200))
def test_random_heads_end_in_a_request_or_a_refusal(junk: bytes) -> None:
    for raw in (junk + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n" + junk + b"\r\n\r\n"):
        with contextlib.suppress(BadRequest):  # and in nothing else
            parse_request(raw)


def test_an_answer_is_serialized() -> None:
    response = Response(HTTPStatus.OK, b"body", headers={"X-A": "b"})
    lines, _, body = response.serialize().partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 200 OK\r\nDate: ")
    assert {b"Content-Length: 4", b"Connection: close", b"X-A: b"} <= set(lines.split(b"\r\n"))
    assert body == b"body"
    assert response.serialize("HEAD") == lines + b"\r\n\r\n"


def test_an_error_is_json() -> None:
    response = error_response(HTTPStatus.NOT_FOUND, "there is no /x")
    assert (response.content_type, response.body) == ("application/json", b'{"error": "there is no /x"}\n')


def test_an_argument_that_comes_twice_is_no_choice() -> None:
    request = parse_request(b"GET /pub?id=mine&id=yours&x=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert request.argument("x") == "1"
    with pytest.raises(BadRequest, match="the argument id comes more than once"):
        request.argument("id")
