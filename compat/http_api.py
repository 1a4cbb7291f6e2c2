"""The HTTP manners that nsqd and nsqlookupd share (nsqd-http section 1): routing, parameters, answers.

A daemon gives a table of routes; each route's function takes a `Call` and returns what to answer (see
`Route`) or raises `ApiError`. Bodies are bounded; what a route does not want is read and thrown away.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from http.client import responses
from posixpath import normpath
from urllib.parse import unquote_to_bytes

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)
from tornado.iostream import IOStream, StreamClosedError

from compat.accepting import Acceptor
from compat.go_durations import format_duration
from compat.http_answers import JSON, Answer, Style, error, redirect, success
from compat.http_first_line import FirstLineServer
from nsqgw.service.settings import Address

V1_ACCEPT = "application/vnd.nsq; version=1.0"
"""The Accept header of clients that ask for the API since 1.0; only calls of before 1.0 look at it."""

_DISCARD_LIMIT = 1024 * 1024
"""Bytes of an unwanted body that are read all the same, so that the client sees the answer and no reset."""
_IDLE_TIMEOUT = 300.0
_BODY_TIMEOUT = 300.0
_STOP_TIMEOUT = 5.0
_ANY_BODY_SIZE = 2**62
"""tornado's own limit is out of the way: the limit of each route gives the right answer, 413."""

_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


class ApiError(Exception):
    """A request is refused: HTTP `status` with the word `code` as NSQ's clients know it."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Call:
    """One request as a route's function sees it; `segment` is what stood in place of `*` in the path."""

    method: str
    path: str
    query_string: str
    headers: HTTPHeaders
    body: bytes = b""
    segment: str = ""

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The parameters, the first value of each; ApiError INVALID_REQUEST when they are malformed."""
        return parse_query(self.query_string)

    def required(self, name: str) -> str:
        """A parameter that must be there, if only empty; else ApiError MISSING_ARG_<NAME>."""
        if name not in self.query:
            raise ApiError(400, f"MISSING_ARG_{name.upper()}")
        return self.query[name]


Endpoint = Callable[[Call], object | Awaitable[object]]


@dataclass(frozen=True)
class TakeOver:
    """What a route's function returns to have the connection: `begin` gets its stream, and answers itself."""

    begin: Callable[[IOStream], None]


@dataclass(frozen=True)
class Route:
    """A method and path, and the function that answers.

    The function returns (or is a coroutine that returns) None for an empty answer, str or bytes for bare
    text, a TakeOver, anything else for JSON. `path` may end in `/*`. `plain` is the style of /ping: errors
    are bare text, and there is no X-NSQ header. The body is kept up to `max_body` bytes, above that the
    answer is 413 `too_big`; None throws any body away. `legacy` has clients of before 1.0 answered in their
    form.
    """

    method: str
    path: str
    endpoint: Endpoint
    plain: bool = False
    max_body: int | None = None
    too_big: str = "BODY_TOO_BIG"
    legacy: bool = False

    def style(self, headers: HTTPHeaders) -> Style:
        """How a request with these headers is answered."""
        if self.plain:
            return Style.PLAIN
        return Style.LEGACY if self.legacy and headers.get("Accept") != V1_ACCEPT else Style.V1


def parse_query(query_string: str) -> dict[str, str]:
    """The first value of each parameter; ApiError for a bad percent escape or a bare `;` (nsqd-http 1.3)."""
    if ";" in query_string or _BAD_ESCAPE.search(query_string):
        raise ApiError(400, "INVALID_REQUEST")
    values: dict[str, str] = {}
    for pair in query_string.split("&"):
        name, _, value = pair.partition("=")
        if pair:
            values.setdefault(_unescape(name), _unescape(value))
    return values


def _unescape(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8", "replace")


class Api(HTTPServerConnectionDelegate):
    """Serves a table of routes, over TLS with a context; `logger` gets a line a request.

    `closed`, when given, is the body that every request is refused with, by 403.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        logger: logging.Logger,
        tls: ssl.SSLContext | None = None,
        closed: Callable[[], bytes] | None = None,
    ) -> None:
        self._routes: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._routes.setdefault(route.path, {})[route.method] = route
        self._real_paths = {normpath(path): path for path in self._routes if not path.endswith("*")}
        self.logger = logger
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = closed
        self._acceptors: list[Acceptor] = []
        self._server = FirstLineServer(
            self,
            ssl_options=tls,
            max_body_size=_ANY_BODY_SIZE,
            idle_connection_timeout=_IDLE_TIMEOUT,
            body_timeout=_BODY_TIMEOUT,
        )

    def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Serve on listening, non-blocking sockets."""
        self._acceptors.append(Acceptor(sockets, self._server.begin))

    async def stop(self) -> None:
        """Stop listening, let requests under way finish for a moment, close all connections."""
        for acceptor in self._acceptors:
            await acceptor.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_STOP_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._server.close_all_connections()

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        return _Exchange(self, request_conn)

    def own(self, task: asyncio.Task[None]) -> None:
        """Keep a request's task until it is done; `stop` waits for it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def find(self, method: str, path: str, query: str = "") -> tuple[Route, str] | Answer:
        """The route and the text for its `*`, or the answer when there is none (nsqd-http 1.2)."""
        if (method, path) == ("OPTIONS", "*"):
            return Answer(200)  # Go's server answers that itself
        if self._closed is not None:
            return Answer(403, self._closed(), JSON, is_v1=True)
        methods, segment = self._match(path)
        route = methods.get(method)
        if route is not None:
            return route, segment
        allowed = {"Allow": ", ".join(sorted([*methods, "OPTIONS"]))}
        if methods and method == "OPTIONS":
            return Answer(200, headers=allowed)
        if methods:
            return error(405, "METHOD_NOT_ALLOWED", headers=allowed)
        real_path = self._real_paths.get(normpath("/" + path.lstrip("/")).lower())
        if real_path is not None and method in self._routes[real_path]:
            return redirect(method, real_path + ("?" + query if query else ""))
        return error(404, "NOT_FOUND")

    def _match(self, path: str) -> tuple[dict[str, Route], str]:
        if path in self._routes:
            return self._routes[path], ""
        parent, _, segment = path.rpartition("/")
        return (self._routes.get(f"{parent}/*", {}), segment) if segment else ({}, "")


class _Exchange(HTTPMessageDelegate):
    """One request and its answer."""

    def __init__(self, api: Api, connection: HTTPConnection) -> None:
        self._api = api
        self._connection = connection
        self._started = time.perf_counter()
        self._chunks: list[bytes] = []
        self._received = 0
        self._keep = 0  # bytes of body the route wants at most
        self._take = 0  # bytes of body that are read before the client is refused
        self._answered = False
        self._found: tuple[Route, str] | Answer = Answer(404)
        self._call = Call("", "", "", HTTPHeaders())

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, RequestStartLine)
        path, _, query = start_line.path.partition("?")
        self._found = self._api.find(start_line.method, path, query)
        segment = "" if isinstance(self._found, Answer) else self._found[1]
        self._call = Call(start_line.method, path, query, headers, segment=segment)
        self._keep, self._take = self._body_limits()
        if _content_length(headers) > self._take:
            self._refuse_body()
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self._received += len(chunk)
        if self._received <= self._keep:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()
        if self._received > self._take:
            self._refuse_body()
        return None

    def finish(self) -> None:
        if not self._answered:
            self._api.own(asyncio.get_running_loop().create_task(self._answer()))

    def on_connection_close(self) -> None:
        self._answered = True

    def _body_limits(self) -> tuple[int, int]:
        """How many bytes of body are kept, and how many are read."""
        if isinstance(self._found, Answer):
            return 0, _DISCARD_LIMIT
        max_body = self._found[0].max_body
        return (0, _ANY_BODY_SIZE) if max_body is None else (max_body, max_body + _DISCARD_LIMIT)

    def _refuse_body(self) -> None:
        """Answer before the body is read; tornado then closes the connection after the answer."""
        if self._answered:
            return
        if isinstance(self._found, Answer):
            self._send(self._found)
        else:
            route = self._found[0]
            self._send(error(413, route.too_big, route.style(self._call.headers)))

    async def _answer(self) -> None:
        if isinstance(self._found, Answer):
            self._send(self._found)
            return
        route = self._found[0]
        style = route.style(self._call.headers)
        try:
            if route.max_body is not None and self._received > route.max_body:
                raise ApiError(413, route.too_big)
            call = replace(self._call, body=b"".join(self._chunks))
            result = route.endpoint(call)
            if isinstance(result, Awaitable):
                result = await result
            if isinstance(result, TakeOver):
                self._hand_over(result)
                return
            answer = success(result, style)
        except ApiError as refusal:
            answer = error(refusal.status, refusal.code, style)
        except Exception:  # a mistake of ours is a 500 and a line in the log, not a dead port
            self._api.logger.exception("HTTP handler of %s %s failed", self._call.method, self._call.path)
            answer = error(500, "INTERNAL_ERROR", style)
        self._send(answer)

    def _hand_over(self, result: TakeOver) -> None:
        if self._answered:
            return
        self._answered = True
        assert isinstance(self._connection, HTTP1Connection)
        self._log(200)
        result.begin(self._connection.detach())

    def _send(self, answer: Answer) -> None:
        if self._answered:
            return
        self._answered = True
        headers = HTTPHeaders(
            {"Date": format_timestamp(time.time()), "Content-Length": str(len(answer.body))}
        )
        headers.update(answer.headers)
        if answer.content_type is not None:
            headers["Content-Type"] = answer.content_type
        if answer.is_v1:
            headers["X-NSQ-Content-Type"] = "nsq; version=1.0"
        status_line = ResponseStartLine("HTTP/1.1", answer.status, responses[answer.status])
        chunk = answer.body if self._call.method != "HEAD" else None
        try:
            self._connection.write_headers(status_line, headers, chunk)
            self._connection.finish()
        except StreamClosedError:
            self._api.logger.debug("client left before the answer to %s", self._call.path)
        self._log(answer.status)

    def _log(self, status: int) -> None:
        logger = self._api.logger
        if not logger.isEnabledFor(logging.INFO):
            return
        target = self._call.path + ("?" + self._call.query_string if self._call.query_string else "")
        peer = getattr(getattr(self._connection, "context", None), "address", None)
        address = str(Address(peer[0], peer[1])) if isinstance(peer, tuple) else "@"
        took = format_duration(time.perf_counter() - self._started)
        logger.info("%d %s %s (%s) %s", status, self._call.method, target, address, took)


def _content_length(headers: HTTPHeaders) -> int:
    """The announced size; 0 when there is none or it is malformed, which tornado answers by itself."""
    announced = headers.get("Content-Length", "")
    return int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 20 else 0
