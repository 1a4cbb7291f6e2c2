"""HTTP/1.1 requests over connections that stay open, with deadlines and a bound on what is kept of an answer.

A connection always has a read pending, between requests too: one that the server closed is never used again,
and an answer that nobody asked for ends it, so that it cannot confirm the wrong batch.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError

from gateways.ship.sinks.http_answers import Answer
from nsqgw.config import TlsConfig
from nsqgw.connection.stream import open_stream
from nsqgw.connection.tls import client_context, encrypted, server_name
from nsqgw.deadline import within
from nsqgw.errors import ConnectionClosed, ConnectionFailed
from nsqgw.http.address import HttpAddress

_MAX_HEADER_BYTES = 64 * 1024
_MAX_COUNTED_BYTES = 1 << 40  # what is not kept is read and thrown away, until the request's deadline


class HttpClient:
    """Connections to any number of hosts, at most `max_idle` of them kept for each between requests.

    Without `keep_refused` one is used again after a 2xx answer only: for servers that answer a request they
    refuse before they have read it, and take the rest of it for the next one.
    `connect_timeout` is for TCP and TLS, `request_timeout` for the whole exchange, both in seconds. Raises
    ConfigError for TLS files that cannot be used.
    """

    def __init__(
        self,
        *,
        tls: TlsConfig,
        connect_timeout: float,
        request_timeout: float,
        max_idle: int,
        keep_refused: bool = True,
    ) -> None:
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._connect_timeout = connect_timeout
        self._request_timeout = request_timeout
        self._max_idle = max_idle
        self._keep_refused = keep_refused
        self._idle: dict[HttpAddress, list[_Connection]] = {}
        self._open: set[_Connection] = set()

    async def prepare(self, *, with_tls: bool) -> None:
        """Load the certificates, which takes a while, before the first request needs them."""
        if with_tls:
            self._context = await asyncio.to_thread(client_context, self._tls)

    async def request(
        self,
        address: HttpAddress,
        start: RequestStartLine,
        headers: Mapping[str, str],
        body: bytes,
        keep_bytes: int,
    ) -> Answer:
        """The answer to one request, with at most `keep_bytes` of its body.

        Raises ConnectionFailed, ConnectionClosed, asyncio.TimeoutError or OSError; cancelling it closes the
        connection.
        """
        return await within(self._request_timeout, self._ask(address, start, headers, body, keep_bytes))

    async def reach(self, address: HttpAddress) -> None:
        """Connect, with TLS if it is https, and send nothing. Raises what `request` does."""
        connection = await self._connect_in_time(address)
        connection.close()
        self._open.discard(connection)

    async def close(self) -> None:
        """Cut all connections."""
        connections = list(self._open)
        for connection in connections:
            connection.close()
        await asyncio.gather(*(connection.closed() for connection in connections))

    async def _ask(
        self,
        address: HttpAddress,
        start: RequestStartLine,
        headers: Mapping[str, str],
        body: bytes,
        keep_bytes: int,
    ) -> Answer:
        sent_again = False
        while (connection := self._take_idle(address)) is not None:
            try:
                answer = await self._exchange(connection, address, start, headers, body, keep_bytes)
                return replace(answer, sent_again=sent_again)
            except ConnectionClosed:
                if connection.answered:
                    raise
                # The server closed it as the request left: as a rule nothing is wrong with the server.
                sent_again = True
        try:
            connection = await self._connect_in_time(address)
        except ConnectionFailed as error:
            if sent_again:
                raise ConnectionClosed(str(error)) from error
            raise
        answer = await self._exchange(connection, address, start, headers, body, keep_bytes)
        return replace(answer, sent_again=sent_again)

    async def _exchange(
        self,
        connection: _Connection,
        address: HttpAddress,
        start: RequestStartLine,
        headers: Mapping[str, str],
        body: bytes,
        keep_bytes: int,
    ) -> Answer:
        reusable = False
        try:
            answer = await connection.exchange(start, {"Host": address.origin, **headers}, body, keep_bytes)
            reusable = connection.reusable and (self._keep_refused or answer.status < 300)
            return answer
        finally:
            idle = self._idle.setdefault(address, [])
            if reusable and len(idle) < self._max_idle:
                idle.append(connection)
            else:
                connection.close()
                self._open.discard(connection)

    def _take_idle(self, address: HttpAddress) -> _Connection | None:
        idle = self._idle.get(address, [])
        while idle:
            connection = idle.pop()
            if connection.reusable:
                return connection
            connection.close()
            self._open.discard(connection)
        return None

    async def _connect_in_time(self, address: HttpAddress) -> _Connection:
        try:
            return await within(self._connect_timeout, self._connect(address))
        except asyncio.TimeoutError:  # nothing was sent: that is not the time-out of an answer
            raise ConnectionFailed(
                f"no connection to {address.host_and_port} within {self._connect_timeout:g}s"
            ) from None

    async def _connect(self, address: HttpAddress) -> _Connection:
        where = address.host_and_port
        stream = await open_stream(where, self._connect_timeout)
        if address.scheme == "https":
            if self._context is None:
                self._context = client_context(self._tls)
            stream = await encrypted(stream, where, self._context, server_name(where, self._tls))
        connection = _Connection(stream)
        self._open.add(connection)
        return connection


class _Connection:
    """One connection; `exchange` is called by one at a time."""

    def __init__(self, stream: IOStream) -> None:
        self._stream = stream
        self._listen()

    @property
    def reusable(self) -> bool:
        """Whether a request can be sent: the last answer is over, and nothing was said since."""
        return not (self._reading.done() or self._reader.begun or self._stream.closed())

    @property
    def answered(self) -> bool:
        """Whether anything came back for the current request."""
        return self._reader.begun

    async def exchange(
        self, start: RequestStartLine, headers: Mapping[str, str], body: bytes, keep_bytes: int
    ) -> Answer:
        """Send a request and read its answer. Raises ConnectionClosed, also for what is no HTTP."""
        self._reader.keep_bytes = keep_bytes
        try:
            length = {"Content-Length": str(len(body))} if body or start.method != "GET" else {}
            sent = self._http.write_headers(start, HTTPHeaders({**headers, **length}), body or None)
            sent.add_done_callback(_outcome_seen)
            self._http.finish()
            still_open = await self._reading
        except (StreamClosedError, OSError) as error:
            raise ConnectionClosed(_cause(error)) from error
        answer = self._reader.answer()
        if still_open and self._reader.keeps_alive:
            self._listen()
        return answer

    def close(self) -> None:
        """Cut the connection."""
        self._stream.close()

    async def closed(self) -> None:
        """Until the pending read has noticed."""
        await asyncio.wait({self._reading})

    def _listen(self) -> None:
        parameters = HTTP1ConnectionParameters(
            max_header_size=_MAX_HEADER_BYTES, max_body_size=_MAX_COUNTED_BYTES
        )
        self._http = HTTP1Connection(self._stream, True, parameters)
        self._reader = _AnswerReader()
        self._reading = asyncio.ensure_future(self._http.read_response(self._reader))
        self._reading.add_done_callback(_outcome_seen)


class _AnswerReader(HTTPMessageDelegate):
    """Keeps the beginning of what tornado parses."""

    def __init__(self) -> None:
        self.begun = False
        self.keep_bytes = 0
        self._status = 0
        self._version = ""
        self._headers = HTTPHeaders()
        self._body = bytearray()
        self._size = 0
        self._complete = False

    @property
    def keeps_alive(self) -> bool:
        """Whether the server takes another request on this connection (RFC 9112, 9.3)."""
        return self._version == "HTTP/1.1" and self._headers.get("Connection", "").lower() != "close"

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, ResponseStartLine)
        self.begun = True
        self._status = start_line.code
        self._version = start_line.version
        self._headers = headers

    def data_received(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if len(self._body) < self.keep_bytes:
            self._body += chunk[: self.keep_bytes - len(self._body)]

    def finish(self) -> None:
        self._complete = True

    def answer(self) -> Answer:
        if not self._complete:
            raise ConnectionClosed("the answer was cut short, or is no HTTP")
        return Answer(self._status, self._headers, bytes(self._body), self._size == len(self._body))


def _outcome_seen(future: asyncio.Future[Any]) -> None:
    """A connection that ends between requests fails a read that nobody awaits."""
    if not future.cancelled():
        future.exception()


def _cause(error: StreamClosedError | OSError) -> str:
    cause = error.real_error if isinstance(error, StreamClosedError) else error
    return f"connection lost: {getattr(cause, 'strerror', None) or cause or 'closed by the server'}"
