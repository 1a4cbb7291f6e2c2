"""Servers that hang, lie, break off, send too much or send elsewhere; each outcome is one typed error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tornado.netutil import bind_sockets
from tornado.web import RequestHandler

from harness.raw_server import Script, raw_server
from harness.web import serving
from nsqgw.errors import (
    BadAnswer,
    Closed,
    ConnectionClosed,
    ConnectionFailed,
    DeadlineExceeded,
    HttpError,
    NSQError,
)
from nsqgw.http import LookupdHttp, LookupdHttpAsync, NsqdHttp, NsqdHttpAsync

Ask = Callable[..., Awaitable[Any]]
LONG = 15.0
"""Seconds that are over only when something is wrong."""


@pytest.fixture(params=["blocking", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Calls a method of a new nsqd client: `await ask(address, "info", timeout=1.0)`."""

    async def by_async(address: str, name: str, *arguments: Any, **options: Any) -> Any:
        async with NsqdHttpAsync(address, **options) as client:
            return await getattr(client, name)(*arguments)

    def blocking(address: str, name: str, *arguments: Any, **options: Any) -> Any:
        with NsqdHttp(address, **options) as client:
            return getattr(client, name)(*arguments)

    async def in_thread(*arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(blocking, *arguments, **options)

    return by_async if request.param == "async" else in_thread


def answering(data: bytes, end: Callable[[], Awaitable[None]] | None = None) -> Script:
    """After the head of a request, sends `data`; then what `end` says, or a close in good order."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        if end is not None:
            await end()
        writer.write_eof()
        await reader.read()

    return script


async def for_ever() -> None:
    await asyncio.Event().wait()


def with_length(body: bytes, status: str = "200 OK", head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


def dripping(start: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    return script


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TOO_MUCH = b"x" * 10_000_000


@pytest.mark.parametrize(
    ("script", "kind", "told"),
    [
        (answering(with_length(b"<html>hello</html>")), BadAnswer, "no JSON: '<html>hello"),
        (answering(with_length(b"<html>", "503 Busy")), HttpError, "503 '<html>'"),
        (answering(with_length(b"")), BadAnswer, "no JSON: ''"),
        (answering(with_length(b"[1, 2]")), BadAnswer, "no JSON object"),
        (answering(with_length(b"\x1f\x8b\x08\0", head="Content-Encoding: gzip\r\n")), BadAnswer, "no JSON"),
        (answering(with_length(TOO_MUCH)), BadAnswer, "larger than 1000000 bytes"),
        (answering(CHUNKED + b"989680\r\n" + TOO_MUCH + b"\r\n0\r\n\r\n"), BadAnswer, "larger than 1000000"),
        (answering(HEAD + b"\r\n" + TOO_MUCH), BadAnswer, "larger than 1000000 bytes"),
        (answering(b"\0\0\0\6\0\0\0\0OK\r\n\r\n"), BadAnswer, "no HTTP"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), BadAnswer, "no HTTP"),
        (answering(HEAD + b"Content-Length: 100\r\n\r\n{"), (BadAnswer, ConnectionClosed), ""),
        (answering(CHUNKED + b"5\r\n{"), (BadAnswer, ConnectionClosed), ""),
        (answering(CHUNKED + b"zz\r\n{"), (BadAnswer, ConnectionClosed), ""),
        (answering(b""), ConnectionClosed, "connection lost"),
        (
            answering(with_length(b"", "302 Found", "Location: /info\r\n")),
            HttpError,
            "302 redirects to '/info', which is not followed",
        ),
    ],
)
async def test_nonsense_is_told_in_one_line(
    ask: Ask, script: Script, kind: type[NSQError], told: str
) -> None:
    async with raw_server(script) as server:
        with pytest.raises(kind) as raised:
            await ask(server.address, "info", timeout=LONG, max_answer_bytes=1_000_000)
        assert server.connections == 1
    text = str(raised.value)
    assert text.startswith(f"{server.address}: GET /info: ")
    assert told in text
    assert len(text) < 400
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "script",
    [
        answering(b"", for_ever),
        answering(HEAD, for_ever),
        answering(HEAD + b"Content-Length: 10\r\n\r\n{", for_ever),
        dripping(HEAD + b"X: "),
        dripping(HEAD + b"Content-Length: 1000000\r\n\r\n"),
    ],
    ids=["silent", "half a head", "half a body", "dripping head", "dripping body"],
)
async def test_who_is_too_slow_is_cut_at_the_deadline(ask: Ask, script: Script) -> None:
    async with raw_server(script) as server:
        with pytest.raises(DeadlineExceeded) as raised:
            await asyncio.wait_for(ask(server.address, "info", timeout=0.3), LONG)
    assert str(raised.value) == f"{server.address}: GET /info: no answer within 0.3 s"


async def test_nobody_listens(ask: Ask) -> None:
    sockets = bind_sockets(0, "127.0.0.1")
    address = "{}:{}".format(*sockets[0].getsockname())
    sockets[0].close()
    with pytest.raises(ConnectionFailed) as raised:
        await ask(address, "ping", timeout=LONG)
    assert str(raised.value).startswith(f"{address}: ")
    assert "Connection refused" in str(raised.value)


@pytest.mark.parametrize("host", ["a" * 64 + "..invalid", "no-such-host.invalid"])
async def test_names_that_do_not_resolve(ask: Ask, host: str) -> None:
    with pytest.raises(ConnectionFailed) as raised:
        await ask(f"{host}:4151", "ping", timeout=LONG)
    assert len(str(raised.value).splitlines()) == 1


async def test_a_server_without_tls_is_asked_by_https(ask: Ask) -> None:
    async with raw_server(answering(with_length(b"OK"))) as server:
        with pytest.raises((ConnectionFailed, DeadlineExceeded)) as raised:
            await ask(f"https://{server.address}", "ping", timeout=1.0)
    assert len(str(raised.value).splitlines()) == 1


async def test_a_cancelled_call_leaves_no_connection() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def note(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        gone.set()

    async with raw_server(note) as server, NsqdHttpAsync(server.address, timeout=300.0) as client:
        task = asyncio.create_task(client.ping())
        await asyncio.wait_for(asked.wait(), LONG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), LONG)


async def test_connections_of_the_blocking_client_are_kept_and_replaced() -> None:
    async def polite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for head in ("", "Connection: close\r\n"):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(with_length(b"OK", head=head))
        await reader.read()

    def five_pings(address: str) -> None:
        with NsqdHttp(address) as client:
            for _ in range(5):
                client.ping()

    async with raw_server(polite) as server:
        await asyncio.to_thread(five_pings, server.address)
        assert server.connections == 3


async def test_closed_clients_say_so() -> None:
    blocking, waiting = LookupdHttp("127.0.0.1:4161"), LookupdHttpAsync("127.0.0.1:4161")
    blocking.close()
    await waiting.close()
    with pytest.raises(Closed, match="LookupdHttp"):
        blocking.ping()
    with pytest.raises(Closed, match="LookupdHttpAsync"):
        await waiting.ping()


async def test_the_environment_is_left_alone(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with raw_server(answering(with_length(b"OK"))) as server:
        assert await ask(server.address, "ping", timeout=LONG) is None


class _Ping(RequestHandler):
    def get(self) -> None:
        assert self.request.host.startswith("[::1]:")
        self.finish("OK")


async def test_ipv6(ask: Ask) -> None:
    async with serving(("/ping", _Ping), host="::1") as address:
        assert address.startswith("[::1]:")
        assert await ask(address, "ping", timeout=LONG) is None


async def test_the_secrets_arrive(ask: Ask) -> None:
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(with_length(b"OK"))
        await reader.read()

    async with raw_server(note) as server:
        await ask(f"http://user:password@{server.address}/nsq", "ping", timeout=LONG)
        await ask(server.address, "ping", timeout=LONG, auth_secret="s3cret")
    assert heads[0].startswith(b"GET /nsq/ping HTTP/1.1\r\n")
    assert b"Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n" in heads[0]
    assert b"Authorization: Bearer s3cret\r\n" in heads[1]
    for head in heads:
        assert f"Host: {server.address}\r\n".encode() in head
        assert b"Accept: application/vnd.nsq; version=1.0\r\n" in head
