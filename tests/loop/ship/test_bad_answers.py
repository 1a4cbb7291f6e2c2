"""Every sink over HTTP against servers that are broken, in the way, or say one thing and mean another.

A row for each kind of bad answer, with its promised outcome; none of them confirms an event.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
import trustme
from pydantic import TypeAdapter

from gateways.pipeline.sink import Fate, Outcome
from gateways.ship.destination import SinkSettings
from harness.log_services import KINDS, Reply, running, settings_for
from harness.pipeline import RecordingOrigin, make_batch, make_messages
from harness.raw_server import Script, hang, raw_server

BODIES = [b'{"n":1}', b'{"n":2}', b'{"n":3}']


async def send(settings: dict[str, Any]) -> Outcome:
    """What comes of three events."""
    sink = TypeAdapter[Any](SinkSettings).validate_python(settings).make(2)
    await sink.open()
    try:
        messages = make_messages(BODIES, RecordingOrigin())
        batch = make_batch([sink.encode(message) for message in messages])
        batch.messages = messages
        outcome: Outcome = await sink.send(batch)
        return outcome
    finally:
        await sink.close()


def saying(answer: bytes) -> Script:
    """Takes a request and says this."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return script


BROKEN = [
    pytest.param(saying(b""), "lost", id="closes"),
    pytest.param(saying(b"HTTP/1.1 200 OK\r\nContent-Le"), "lost", id="closes-in-headers"),
    pytest.param(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), "lost", id="closes-in-body"),
    pytest.param(
        saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "cut", id="bad-chunk"
    ),
    pytest.param(saying(b"\x00\xff garbage \r\n\r\n" * 9), "no HTTP", id="garbage"),
    pytest.param(saying(b"HTTP/1.1 999999 \r\n\r\n"), "no HTTP", id="no-status"),
    pytest.param(saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), "lost", id="endless-header"),
    pytest.param(hang, "Timeout", id="never-answers"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("script", "reason"), BROKEN)
async def test_what_is_no_answer_may_be_tried_again(kind: str, script: Script, reason: str) -> None:
    patience = 0.15 if reason == "Timeout" else 20.0
    async with raw_server(script) as server:
        outcome = await send(settings_for(kind, f"http://{server.address}/logs", request_timeout=patience))
    assert outcome.fate is Fate.RETRY
    assert outcome.unsure, "it may have come in"
    assert reason in outcome.reason


async def test_what_never_left_is_not_there_twice() -> None:
    outcome = await send(settings_for("loki", "http://127.0.0.1:1/logs"))
    assert (outcome.fate, outcome.unsure) == (Fate.RETRY, False)


REFUSALS = [
    (Reply(302, None, {"Location": "https://elsewhere.example/?token=secret"}), Fate.BLOCKED, "HTTP 302"),
    (Reply(401), Fate.BLOCKED, "HTTP 401 Unauthorized"),
    (Reply(402), Fate.BLOCKED, "HTTP 402"),
    (Reply(403, "<h1>secret</h1>"), Fate.BLOCKED, "HTTP 403 Forbidden"),
    (Reply(404, "<h1>secret</h1>"), Fate.BLOCKED, "HTTP 404 Not Found"),
    (Reply(413), Fate.TOO_LARGE, "HTTP 413"),
    (Reply(429), Fate.RETRY, "HTTP 429 Too Many Requests"),
    (Reply(500, "x" * 5_000_000), Fate.RETRY, "HTTP 500"),
    (Reply(503), Fate.RETRY, "HTTP 503 Service Unavailable"),
    (Reply(200, "<html>secret</html>", {"Content-Type": "text/html; charset=utf-8"}), Fate.RETRY, "page"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("reply", "fate", "reason"), REFUSALS, ids=lambda value: getattr(value, "status", "")
)
async def test_refusals_and_pages_confirm_nothing_and_tell_no_secrets(
    kind: str, reply: Reply, fate: Fate, reason: str
) -> None:
    async with running(kind) as (service, settings):
        service.script = [reply] * 9
        outcome = await send(settings)
        assert outcome.fate is fate
        assert reason in outcome.reason
        assert "secret" not in outcome.reason
        assert service.events == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wait_that_is_asked_for_is_told(kind: str) -> None:
    async with running(kind) as (service, settings):
        service.script = [Reply(503, None, {"Retry-After": "17"})]
        assert (await send(settings)).retry_after == 17.0


WHOLE_400 = {"elasticsearch": Fate.BLOCKED, "s3": Fate.BLOCKED}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_400_is_about_the_data_where_the_data_can_be_at_fault(kind: str) -> None:
    async with running(kind) as (service, settings):
        service.script = [Reply(400, {"code": "secret"})]
        outcome = await send(settings)
        assert (outcome.fate, outcome.per_event) == (WHOLE_400.get(kind, Fate.REJECTED), None)


PROTOBUF = {"Content-Type": "application/x-protobuf"}

SUCCESS_WITH_ERRORS = [
    ("loggly", Reply(200, {"response": "error"}), Fate.RETRY),
    ("loggly", Reply(200), Fate.RETRY),
    ("splunk", Reply(200, {"text": "Server is busy", "code": 9}), Fate.RETRY),
    ("splunk", Reply(200, [1]), Fate.RETRY),
    ("elasticsearch", Reply(200, {"errors": True}), Fate.RETRY),
    ("elasticsearch", Reply(200, {"errors": True, "items": [{"create": {"status": 201}}]}), Fate.RETRY),
    ("elasticsearch", Reply(200, {"took": 3}), Fate.RETRY),
    ("elasticsearch", Reply(200, "not JSON"), Fate.RETRY),
    ("elasticsearch", Reply(200, "[" * 100_000), Fate.RETRY),
    ("loki", Reply(260), Fate.RETRY),
    (
        "otlp",
        Reply(200, b"\x0a\x02\x08\x02", PROTOBUF),
        Fate.REJECTED,
    ),  # two records were rejected, nobody knows which
    ("otlp", Reply(200, b"\x0a\xff", PROTOBUF), Fate.RETRY),
    ("clickhouse", Reply(200, None, {"X-ClickHouse-Exception-Code": "241"}), Fate.RETRY),
    ("clickhouse", Reply(500, None, {"X-ClickHouse-Exception-Code": "60"}), Fate.BLOCKED),
    ("clickhouse", Reply(500, None, {"X-ClickHouse-Exception-Code": "27"}), Fate.REJECTED),
    ("s3", Reply(400, "<Error><Code>RequestTimeout</Code></Error>"), Fate.RETRY),
]


@pytest.mark.parametrize(("kind", "reply", "fate"), SUCCESS_WITH_ERRORS)
async def test_a_status_that_does_not_tell_all(kind: str, reply: Reply, fate: Fate) -> None:
    async with running(kind) as (service, settings):
        service.script = [reply]
        outcome = await send(settings)
        assert outcome.fate is fate
        assert outcome.reason


@pytest.mark.parametrize("kind", KINDS)
async def test_a_certificate_for_another_name_blocks(kind: str) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("other.example.org").configure_cert(context)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    outcome = await send(settings_for(kind, f"https://127.0.0.1:{port}/"))
    assert outcome.fate is Fate.BLOCKED
    assert outcome.reason.startswith("its certificate is not accepted:")
    server.close()
    await server.wait_closed()
