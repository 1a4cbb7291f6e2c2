"""One HTTP request and its answer on tornado's streams, with a deadline and a bound on the answer.

Each request has a connection of its own. Cancelling it closes that at once, so that whoever asks can stop
without waiting for a server that hangs; tornado's AsyncHTTPClient goes on until its time-out. Redirects are
not followed: a daemon that moved is for the user to know.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TypeVar

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError

from nsqgw.config import HttpConfig
from nsqgw.connection.stream import open_stream
from nsqgw.connection.tls import client_context, encrypted, server_name
from nsqgw.deadline import within
from nsqgw.errors import BadAnswer, ConnectionClosed, DeadlineExceeded, NSQError
from nsqgw.http.address import HttpAddress
from nsqgw.http.answer import Answer
from nsqgw.http.call import Call, Request, conversation

T = TypeVar("T")

_MAX_HEADER_BYTES = 64 * 1024


class Exchange:
    """Carries out calls. Raises ConfigError for TLS files that cannot be used.

    `connect_timeout` is for the TCP connection alone, in seconds; the whole call's time otherwise.
    """

    def __init__(self, config: HttpConfig, connect_timeout: float | None = None) -> None:
        self._config = config
        self._connect_timeout = config.timeout if connect_timeout is None else connect_timeout
        self._made_context = client_context(config.tls) if config.tls is not None else None

    async def call(self, call: Call[T], address: HttpAddress) -> T:
        """The result of a call.

        Raises what the call raises; ConnectionFailed, DeadlineExceeded, ConnectionClosed or BadAnswer when
        there is no sensible answer.
        """
        talk = conversation(call, address, self._config.auth_secret)
        request = next(talk)
        while True:
            answer = await self._answer(request)
            try:
                request = talk.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result

    async def _answer(self, request: Request) -> Answer:
        try:
            return await within(self._config.timeout, self._ask(request))
        except asyncio.TimeoutError as error:
            text = f"{request.what}: no answer within {self._config.timeout:g} s"
            raise DeadlineExceeded(text) from error
        except NSQError:
            raise
        except (StreamClosedError, OSError) as error:  # an OSError when it is TLS that breaks
            raise ConnectionClosed(f"{request.what}: connection lost: {_cause(error)}") from error

    async def _ask(self, request: Request) -> Answer:
        stream = await self._connect(request)
        try:
            parameters = HTTP1ConnectionParameters(
                no_keep_alive=True,
                max_header_size=_MAX_HEADER_BYTES,
                max_body_size=self._config.max_answer_bytes,
            )
            connection = HTTP1Connection(stream, True, parameters)
            start = RequestStartLine(request.method, request.target, "HTTP/1.1")
            headers = HTTPHeaders({"Host": request.address.origin, "Connection": "close", **request.headers})
            if request.method != "GET":
                headers["Content-Length"] = str(len(request.body or b""))
            connection.write_headers(start, headers, request.body)
            connection.finish()
            reader = _AnswerReader()
            await connection.read_response(reader)
            return reader.answer(request, self._config.max_answer_bytes)
        finally:
            stream.close()

    async def _connect(self, request: Request) -> IOStream:
        where = request.address.host_and_port
        stream = await open_stream(where, self._connect_timeout)
        if request.address.scheme == "http":
            return stream
        return await encrypted(stream, where, self._context(), server_name(where, self._config.tls))

    def _context(self) -> ssl.SSLContext:
        # The system's authorities are loaded when they are needed: that takes a while.
        if self._made_context is None:
            self._made_context = client_context(None)
        return self._made_context


def _cause(error: StreamClosedError | OSError) -> str:
    cause = error.real_error if isinstance(error, StreamClosedError) else error
    return str(getattr(cause, "strerror", None) or cause or "closed by the server")


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

    def answer(self, request: Request, max_bytes: int) -> Answer:
        if not self._complete:
            text = f"{request.what}: the answer is cut short, larger than {max_bytes} bytes, or no HTTP"
            raise BadAnswer(text)
        return Answer(self._status, self._headers, b"".join(self._chunks), request.what)
