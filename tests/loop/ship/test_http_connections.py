"""Connections of HTTP sinks: kept open, given up when they are not to be trusted, and hosts in turn."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateways.pipeline.sink import CONFIRMED, Fate
from harness.certificates import make_certificates
from harness.log_services import Reply, running, settings_for, unpacked
from harness.raw_server import Script, raw_server
from harness.sending import batch_of, messages_of, opened

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"response":"ok"}'
DOWN = "http://127.0.0.1:1"


async def take_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length.partition(b":")[2]))


def answering(*answers: bytes) -> Script:
    """One of these to each request on a connection, then the end."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await take_request(reader)
            writer.write(answer)
            await writer.drain()

    return script


async def test_requests_share_a_connection() -> None:
    async with (
        raw_server(answering(*[OK] * 3)) as server,
        opened(settings_for("loggly", f"http://{server.address}")) as sink,
    ):
        for _ in range(3):
            assert await sink.send(batch_of(sink, messages_of([b"a"]))) is CONFIRMED
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), id="closing"),
        pytest.param(OK.replace(b"HTTP/1.1", b"HTTP/1.0"), id="http-1.0"),
        pytest.param(OK, id="closes-without-a-word"),
    ],
)
async def test_a_server_that_closes_gets_a_new_connection(answer: bytes) -> None:
    async with (
        raw_server(answering(answer)) as server,
        opened(settings_for("loggly", f"http://{server.address}")) as sink,
    ):
        for _ in range(3):
            outcome = await sink.send(batch_of(sink, messages_of([b"a"])))
            assert (outcome.fate, outcome.unsure) == (Fate.CONFIRMED, False)
        assert server.connections == 3


async def test_an_answer_that_nobody_asked_for_confirms_nothing() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader)
        writer.write(OK + OK)
        await writer.drain()
        with contextlib.suppress(asyncio.IncompleteReadError):
            await take_request(reader)
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()

    async with (
        raw_server(script) as server,
        opened(settings_for("loggly", f"http://{server.address}")) as sink,
    ):
        assert await sink.send(batch_of(sink, messages_of([b"a"]))) is CONFIRMED
        for _ in range(5):  # both came in one piece: the second one needs turns of the loop, not time
            await asyncio.sleep(0)
        await sink.send(batch_of(sink, messages_of([b"b"])))
        assert server.connections == 2


async def test_closing_cuts_what_is_under_way() -> None:
    waiting = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader)
        waiting.set()
        await reader.read()

    async with (
        raw_server(script) as server,
        opened(settings_for("loggly", f"http://{server.address}")) as sink,
    ):
        sending = asyncio.create_task(sink.send(batch_of(sink, messages_of([b"a"]))))
        await waiting.wait()
        await sink.close()
        assert (await sending).fate is Fate.RETRY


@pytest.fixture
async def two() -> AsyncIterator[tuple[object, object, dict[str, object]]]:
    async with running("loggly") as (first, settings), running("loggly") as (second, _):
        yield first, second, settings | {"url": [first.url, second.url]}


async def test_hosts_take_turns(two: tuple) -> None:
    first, second, settings = two
    async with opened(settings) as sink:
        for number in range(6):
            assert await sink.send(batch_of(sink, messages_of([b"%d" % number]))) is CONFIRMED
    assert (len(first.requests), len(second.requests)) == (3, 3)


async def test_where_one_host_fails_the_next_takes_the_batch_at_once_and_the_first_rests(two: tuple) -> None:
    first, second, settings = two
    first.script = [Reply(503, None, {"Retry-After": "60"})]
    async with opened(settings) as sink:
        for number in range(4):
            assert await sink.send(batch_of(sink, messages_of([b"%d" % number]))) is CONFIRMED
    assert (len(first.requests), len(second.requests)) == (1, 4)


async def test_when_all_hosts_fail_the_last_reason_is_told() -> None:
    async with opened(settings_for("loggly", [DOWN, "http://127.0.0.1:2"])) as sink:  # type: ignore[arg-type]
        outcome = await sink.send(batch_of(sink, messages_of([b"a"])))
        assert outcome.fate is Fate.RETRY
        assert "refused" in outcome.reason
        assert sink.describe() == "http://127.0.0.1:1 (and 1 more)"


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("compression", ["gzip", "deflate", "zstd", "snappy"])
async def test_bodies_are_compressed(compression: str, size: int) -> None:
    async with (
        running("loggly") as (service, settings),
        opened(settings | {"compression": compression}) as sink,
    ):
        assert await sink.send(batch_of(sink, messages_of([b"x" * size]))) is CONFIRMED
    (request,) = service.requests
    assert request.headers["Content-Encoding"] == compression
    assert unpacked(request) == b"x" * size
    if size > 100:
        assert len(request.body) < size / 10


async def test_credentials_and_headers_go_along_and_are_not_shown() -> None:
    async with running("loki") as (service, settings):
        more = {"bearer_token": "top-secret", "headers": {"X-Key": "top-secret"}, "tenant": "me"}
        async with opened(settings | more) as sink:
            assert await sink.send(batch_of(sink, messages_of([b"a"]))) is CONFIRMED
            assert "top-secret" not in sink.describe()
        headers = service.requests[0].headers
    assert headers["Authorization"] == "Bearer top-secret"
    assert (headers["X-Key"], headers["X-Scope-OrgID"]) == ("top-secret", "me")


async def test_a_client_certificate_is_shown_to_those_who_ask(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    context = files.serving
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(files.ca)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(OK)(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tls = {"ca_file": files.ca, "cert_file": files.client}
    async with opened(settings_for("loggly", url, tls=tls)) as sink:
        assert await sink.send(batch_of(sink, messages_of([b"a"]))) is CONFIRMED
    async with opened(settings_for("loggly", url, tls={"ca_file": files.ca})) as sink:
        assert (await sink.send(batch_of(sink, messages_of([b"a"])))).fate in (Fate.RETRY, Fate.BLOCKED)
    server.close()
    await server.wait_closed()


async def test_what_another_host_may_have_taken_may_be_there_twice() -> None:
    async with running("loggly") as (silent, settings), running("loggly") as (other, _):
        silent.script = [Reply(raw=b"")]
        async with opened(settings | {"url": [silent.url, other.url]}) as sink:
            outcome = await sink.send(batch_of(sink, messages_of([b"a", b"b"])))
    assert (outcome.fate, outcome.sent_again) == (Fate.CONFIRMED, 2)
    assert (len(silent.requests), len(other.requests)) == (1, 1)


@pytest.mark.parametrize("place", ["", "{id}"])
async def test_what_was_sent_on_a_connection_that_ended_may_be_there_twice(place: str) -> None:
    async with running("loggly") as (service, settings), opened(settings | {"tags": [place or "a"]}) as sink:
        assert await sink.send(batch_of(sink, messages_of([b"a"]))) is CONFIRMED
        service.script = [Reply(raw=b"")]
        outcome = await sink.send(batch_of(sink, messages_of([b"b", b"c"], start=1)))
    assert (outcome.fate, outcome.unsure) == (Fate.CONFIRMED, False)
    assert outcome.sent_again == (1 if place else 2)


async def test_nothing_was_sent_where_no_connection_came_in_time() -> None:
    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(says_nothing) as server:
        url = f"https://{server.address}"
        async with opened(settings_for("loggly", url) | {"connect_timeout": 0.1}) as sink:
            outcome = await sink.send(batch_of(sink, messages_of([b"a"])))
    assert (outcome.fate, outcome.unsure) == (Fate.RETRY, False)
    assert outcome.reason == f"no connection to {server.address} within 0.1s"
