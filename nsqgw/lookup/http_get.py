"""One HTTP GET with a deadline and a bound on the answer, on a connection of its own.

Cancelling it closes the connection at once, so that whoever asks can stop without waiting for a server
that hangs. It follows no redirects: a directory that moved is for the user to know.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpclient import TCPClient

from nsqgw.deadline import within
from nsqgw.errors import DiscoveryError

_MAX_HEADER_BYTES = 64 * 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, headers (looked up without regard to case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def http_get(
    url: SplitResult, headers: Mapping[str, str], *, timeout: float, max_bytes: int
) -> HttpAnswer:
    """GET `url` within `timeout` seconds; DiscoveryError when there is no answer of at most `max_bytes`."""
    try:
        return await within(timeout, _get(url, headers, max_bytes))
    except asyncio.TimeoutError as error:
        raise DiscoveryError(f"no answer within {timeout:g} s") from error
    except StreamClosedError as error:
        raise DiscoveryError(f"connection lost: {_cause(error.real_error)}") from error
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name that cannot be one
        raise DiscoveryError(f"no connection: {_cause(error)}") from error


async def _get(url: SplitResult, headers: Mapping[str, str], max_bytes: int) -> HttpAnswer:
    stream = await _connect(url)
    try:
        stream.set_nodelay(True)
        parameters = HTTP1ConnectionParameters(
            no_keep_alive=True, max_header_size=_MAX_HEADER_BYTES, max_body_size=max_bytes
        )
        connection = HTTP1Connection(stream, True, parameters)
        request = HTTPHeaders({"Host": url.netloc, "Connection": "close", **headers})
        target = f"{url.path}?{url.query}" if url.query else url.path
        connection.write_headers(RequestStartLine("GET", target, "HTTP/1.1"), request)
        connection.finish()
        reader = _AnswerReader()
        await connection.read_response(reader)
        return reader.answer(max_bytes)
    finally:
        stream.close()


async def _connect(url: SplitResult) -> IOStream:
    assert url.hostname is not None
    port = url.port or _DEFAULT_PORTS[url.scheme]
    security = _verifying() if url.scheme == "https" else None
    return await TCPClient().connect(url.hostname, port, ssl_options=security)


@functools.cache
def _verifying() -> ssl.SSLContext:
    return ssl.create_default_context()


def _cause(error: BaseException | None) -> str:
    if error is None:
        return "closed by the server"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class _AnswerReader(HTTPMessageDelegate):
    """Collects what tornado parses; the size is tornado's to watch."""

    def __init__(self) -> None:
        self._status = 0
        self._headers = HTTPHeaders()
        self._chunks: list[bytes] = []
        self._complete = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, ResponseStartLine)
        self._status = start_line.code
        self._headers = headers

    def data_received(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def finish(self) -> None:
        self._complete = True

    def answer(self, max_bytes: int) -> HttpAnswer:
        if not self._complete:
            raise DiscoveryError(f"the answer is cut short, larger than {max_bytes} bytes, or no HTTP")
        return HttpAnswer(self._status, self._headers, b"".join(self._chunks))
