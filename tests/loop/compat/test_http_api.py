"""The HTTP manners both daemons share (nsqd-http section 1), over a real socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from compat.http_api import Api, ApiError, Call, Route
from harness.http import Answer, call
from nsqgw.service.listen import bound_address, listen

Ask = Callable[..., Any]


async def later(call: Call) -> object:
    await asyncio.sleep(0)
    return {"topic": call.required("topic"), "text": "<é>"}


def fail(_: Call) -> None:
    raise KeyError("a mistake")


def unhealthy(_: Call) -> None:
    raise ApiError(500, "NOK - disk")


ROUTES = [
    Route("GET", "/ping", lambda call: "OK", plain=True),
    Route("GET", "/sick", unhealthy, plain=True),
    Route("GET", "/later", later),
    Route("GET", "/fail", fail),
    Route("POST", "/nothing", lambda call: None),
    Route("POST", "/pub", lambda call: str(len(call.body)), max_body=10, too_big="MSG_TOO_BIG"),
    Route("GET", "/config/*", lambda call: call.segment),
    Route("GET", "/old", later, legacy=True),
    Route("POST", "/old", lambda call: str(len(call.body)) if call.body else None, max_body=3, legacy=True),
]

V1 = {"Accept": "application/vnd.nsq; version=1.0"}


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    api = Api(ROUTES, logging.getLogger("compat.test"))
    sockets = listen("127.0.0.1:0")
    api.listen(sockets)
    address = bound_address(sockets)

    async def request(method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return await asyncio.to_thread(call, address, method, path, body, **headers)

    yield request
    await api.stop()


async def test_c_http_25_plain_answers(ask: Ask) -> None:
    answer = await ask("GET", "/ping")
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "x-nsq-content-type" not in answer.headers
    answer = await ask("GET", "/sick")
    assert (answer.status, answer.body) == (500, b"NOK - disk")


async def test_json_is_compact_and_escaped_as_go_does(ask: Ask) -> None:
    answer = await ask("GET", "/later?topic=t%23ephemeral&topic=second")
    assert answer.body == '{"topic":"t#ephemeral","text":"\\u003cé\\u003e"}'.encode()
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-nsq-content-type"] == "nsq; version=1.0"


async def test_nothing_has_no_content_type(ask: Ask) -> None:
    answer = await ask("POST", "/nothing", b"ignored")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert "content-type" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/later", 400, "MISSING_ARG_TOPIC"),
        ("GET", "/later?topic=a;b", 400, "INVALID_REQUEST"),
        ("GET", "/later?topic=%zz", 400, "INVALID_REQUEST"),
        ("GET", "/nope", 404, "NOT_FOUND"),
        ("GET", "/config/", 404, "NOT_FOUND"),
        ("POST", "/later", 405, "METHOD_NOT_ALLOWED"),
        ("FOO", "/later", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/fail", 500, "INTERNAL_ERROR"),
    ],
)
async def test_errors(ask: Ask, method: str, path: str, status: int, message: str) -> None:
    answer = await ask(method, path)
    assert (answer.status, answer.message) == (status, message)
    assert answer.headers["x-nsq-content-type"] == "nsq; version=1.0"


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("HEAD", 405)])
async def test_methods_are_told(ask: Ask, method: str, status: int) -> None:
    answer = await ask(method, "/later")
    assert (answer.status, answer.body, answer.headers["allow"]) == (status, b"", "GET, OPTIONS")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/LATER/?a=1", 301), ("POST", "/pub/?a=1", 307)]
)
async def test_nearly_right_paths_are_redirected(ask: Ask, method: str, path: str, status: int) -> None:
    answer = await ask(method, path)
    assert answer.status == status
    assert answer.headers["location"] == path.lower().replace("/?", "?")


async def test_a_star_in_the_path(ask: Ask) -> None:
    assert (await ask("GET", "/config/log_level")).body == b"log_level"


@pytest.mark.parametrize("chunked", [False, True])
async def test_c_http_4_bodies_are_bounded(ask: Ask, chunked: bool) -> None:
    def body(size: int) -> Any:
        return iter([b"x" * size]) if chunked else b"x" * size

    assert (await ask("POST", "/pub", body(10))).body == b"10"
    answer = await ask("POST", "/pub", body(11))
    assert (answer.status, answer.message) == (413, "MSG_TOO_BIG")


async def test_an_unwanted_body_of_any_size_is_thrown_away(ask: Ask) -> None:
    assert (await ask("POST", "/nothing", b"x" * 3_000_000)).status == 200


async def test_a_body_announced_far_too_big_is_refused_unread(ask: Ask) -> None:
    answer = await ask("POST", "/pub", None, **{"Content-Length": "99999999999"})
    assert (answer.status, answer.message) == (413, "MSG_TOO_BIG")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "expected"),
    [
        (
            "GET",
            "/old?topic=t",
            None,
            200,
            '200,"status_txt":"OK","data":{"topic":"t","text":"\\u003cé\\u003e"}',
        ),
        ("GET", "/old", None, 500, '500,"status_txt":"MISSING_ARG_TOPIC","data":null'),
        ("POST", "/old", b"", 200, '200,"status_txt":"OK","data":null'),
        ("POST", "/old", b"abcd", 500, '500,"status_txt":"BODY_TOO_BIG","data":null'),
    ],
)
async def test_clients_of_before_1_0_get_wrapped_answers(
    ask: Ask, method: str, path: str, body: bytes | None, status: int, expected: str
) -> None:
    answer = await ask(method, path, body)
    assert (answer.status, answer.body.decode()) == (status, f'{{"status_code":{expected}}}')
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert "x-nsq-content-type" not in answer.headers


async def test_before_1_0_text_is_bare_and_the_accept_header_asks_for_1_0(ask: Ask) -> None:
    answer = await ask("POST", "/old", b"abc")
    assert (answer.status, answer.body) == (200, b"3")
    answer = await ask("GET", "/old", **V1)
    assert (answer.status, answer.message) == (400, "MISSING_ARG_TOPIC")
    assert answer.headers["x-nsq-content-type"] == "nsq; version=1.0"
