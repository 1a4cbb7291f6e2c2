"""The HTTP sink against servers that answer in every way but the right one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from tornado.web import RequestHandler

from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from gateways.ship.sinks.http import HttpSettings
from harness.pipeline import make_batch
from harness.sinks import LogService
from nsqgw.version import __version__


@pytest.fixture
async def service() -> AsyncIterator[LogService]:
    started = LogService()
    yield started
    await started.close()


async def send(url: str, request_timeout: float = 10.0) -> Outcome:
    sink = HttpSettings(url=(url,), request_timeout=request_timeout).make(2)
    await sink.open()
    try:
        return await sink.send(make_batch([b"a", b"b"]))
    finally:
        await sink.close()


async def test_a_batch_is_one_post(service: LogService) -> None:
    assert await send(service.url + "?type=x") is CONFIRMED
    (request,) = service.requests
    assert (request.method, request.uri, request.body) == ("POST", "/in?type=x", b"a\nb\n")
    assert request.headers["Content-Type"] == "application/x-ndjson"
    assert request.headers["User-Agent"] == f"nsqgw/{__version__}"


async def test_user_and_password_of_the_url_are_used_and_not_shown(service: LogService) -> None:
    url = service.url.replace("http://", "http://me:secret@")
    assert await send(url) is CONFIRMED
    assert service.requests[0].headers["Authorization"] == "Basic bWU6c2VjcmV0"
    assert "secret" not in HttpSettings(url=(url,)).make(1).describe()


async def test_what_a_refusal_says_is_for_the_debug_log_alone(
    service: LogService, caplog: pytest.LogCaptureFixture
) -> None:
    def respond(handler: RequestHandler) -> None:
        handler.set_status(503)
        handler.set_header("Retry-After", "7")
        handler.write("<html>\n<h1>your token secret is busy</h1>" + "x" * 1_000_000)

    service.respond = respond
    with caplog.at_level(logging.DEBUG, "gateways"):
        outcome = await send(service.url)
    assert (outcome.fate, outcome.retry_after) == (Fate.RETRY, 7.0)
    assert outcome.reason == "HTTP 503 Service Unavailable"
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "<html> <h1>your token secret is busy</h1>xxx" in record.getMessage()
    assert len(record.getMessage()) < 500


async def test_a_large_answer_to_a_stored_batch_still_confirms(service: LogService) -> None:
    service.respond = lambda handler: handler.write(b"y" * 10_000_000)
    assert await send(service.url) is CONFIRMED


async def test_redirects_are_not_followed(service: LogService) -> None:
    service.respond = lambda handler: handler.redirect("/elsewhere")
    outcome = await send(service.url)
    assert (outcome.fate, outcome.reason) == (
        Fate.BLOCKED,
        "HTTP 302 redirects to /***, not followed",
    )
    assert len(service.requests) == 1


async def test_no_answer_in_time_may_be_tried_again(service: LogService) -> None:
    async def never(handler: RequestHandler) -> None:
        await asyncio.sleep(1)

    service.respond = never
    outcome = await send(service.url, request_timeout=0.1)
    assert outcome.fate is Fate.RETRY
    assert "Timeout" in outcome.reason


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="closed"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", id="cut-body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nCont", id="cut-headers"),
        pytest.param(b"HTTP/1.1 99999 \r\n\r\n", id="status"),
        pytest.param(b"garbage\r\n\r\n", id="garbage"),
        pytest.param(b"\x00\xff" * 50, id="binary"),
    ],
)
async def test_answers_that_are_none_may_be_tried_again(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"a\nb\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await send(f"http://127.0.0.1:{port}/")
    assert outcome.fate is Fate.RETRY
    assert outcome.reason
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no.such.name.invalid/"])
async def test_a_service_that_is_not_there_may_come(url: str) -> None:
    outcome = await send(url)
    assert outcome.fate is Fate.RETRY
    assert outcome.reason


async def test_a_certificate_that_does_not_match_blocks() -> None:
    trustme = pytest.importorskip("trustme")
    import ssl

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("other.example.org").configure_cert(context)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    outcome = await send(f"https://127.0.0.1:{port}/")
    assert outcome.fate is Fate.BLOCKED
    assert outcome.reason.startswith("its certificate is not accepted:")
    server.close()
    await server.wait_closed()
