"""What is served where.

/                  a page that shows the streams live, with its parts beside it
/nsqgw.js          the client for browsers; see docs/push-client.md
/topics            the names of the topics, as JSON
/status            {"connected": {topic: whether the gateway has nsqd for it}}: an open stream does not tell
/stream/<channel>  WebSocket, or what Accept asks for: server-sent events, NDJSON, or JSON for one poll
/connect           one WebSocket for many channels; see docs/push-protocol.md
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from importlib.resources import files
from pathlib import PurePath
from typing import Any

from gateways.push.access.cors import preflight, refusals_shared_with, shared_with
from gateways.push.access.gate import authorize
from gateways.push.access.grant import Right, denial
from gateways.push.context import Context
from gateways.push.filter import BadFilter, Filter, parse_filter
from gateways.push.http import BadRequest, Request, Response, error_response, json_response
from gateways.push.lines import LineSession
from gateways.push.multiplex import MultiplexSession
from gateways.push.pattern import prefix_of
from gateways.push.poll import PollSession
from gateways.push.protocol import DIALECTS
from gateways.push.push_stream.routes import METHODS as PUSH_STREAM_METHODS
from gateways.push.push_stream.routes import REQUEST_HEADERS as PUSH_STREAM_HEADERS
from gateways.push.push_stream.routes import PushStreamRoutes
from gateways.push.session import Session
from gateways.push.sse import EventStreamSession
from gateways.push.websocket import EnvelopeSession, WebSocketSession, handshake
from nsqgw.service.hosts import AllowedHosts, refusal
from nsqgw.service.origin import OriginPolicy

Pages = Mapping[str, Response]

STREAM = "/stream/"
CONNECT = "/connect"
STREAM_SUBPROTOCOL = "nsqgw.stream"
"""What a page offers beside a token among the subprotocols: browsers insist that one is agreed to."""

_BY_ACCEPT = (EventStreamSession, LineSession, PollSession)

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def static_pages(package: str) -> dict[str, Response]:
    """The files in `package`'s folder `static`, by path; `index.html` is `/`."""
    pages = {}
    for file in files(package).joinpath("static").iterdir():
        path = "/" if file.name == "index.html" else f"/{file.name}"
        content_type = _CONTENT_TYPES[PurePath(file.name).suffix]
        pages[path] = Response(HTTPStatus.OK, file.read_bytes(), content_type, _PAGE_HEADERS)
    return pages


def client_module() -> dict[str, Response]:
    """nsqgw.js, by path; the pages of anybody may import it, for there is nothing secret in it."""
    module = files("gateways.push").joinpath("client", "nsqgw.js").read_bytes()
    headers = {**_PAGE_HEADERS, "Access-Control-Allow-Origin": "*"}
    return {"/nsqgw.js": Response(HTTPStatus.OK, module, _CONTENT_TYPES[".js"], headers)}


class Routes:
    """Answers requests of one gateway; called by the front with each of them.

    `connected` tells for each topic whether its messages can come, that is, whether an nsqd is connected.
    """

    def __init__(
        self,
        context: Context,
        hosts: AllowedHosts,
        origins: OriginPolicy,
        pages: Pages,
        connected: Callable[[], Mapping[str, bool]],
        push_stream: PushStreamRoutes | None = None,
    ) -> None:
        self._context = context
        self._hosts = hosts
        self._origins = origins
        self._pages = pages
        self._connected = connected
        self._push_stream = push_stream

    def renew(self, hosts: AllowedHosts, origins: OriginPolicy) -> None:
        """Ask these from now on who may come."""
        self._hosts, self._origins = hosts, origins

    def __call__(self, request: Request) -> Response | Session | Coroutine[Any, Any, Response | Session]:
        host = request.headers.get("host")
        if not self._hosts.permits(host):
            raise BadRequest(HTTPStatus.MISDIRECTED_REQUEST, refusal(host))
        if request.path in self._pages and request.method in ("GET", "HEAD"):
            return self._pages[request.path]
        self._check_origin(request)
        if request.method == "OPTIONS":
            return self._preflight(request)
        with refusals_shared_with(request):
            waiting = self._context.gate.authenticate(
                request, self._context.clock(), later=request.path == CONNECT
            )
            return self._route(request) if waiting is None else self._route_later(waiting, request)

    def _preflight(self, request: Request) -> Response:
        if self._push_stream is not None and self._push_stream.serves(request.path):
            return preflight(request, PUSH_STREAM_METHODS, PUSH_STREAM_HEADERS)
        return preflight(request)

    async def _route_later(self, waiting: Awaitable[None], request: Request) -> Response | Session:
        with refusals_shared_with(request):
            await waiting
            return self._route(request)

    def _route(self, request: Request) -> Response | Session:
        if self._push_stream is not None and self._push_stream.serves(request.path):
            return self._push_stream(request)
        answer = self._answer(request)
        if isinstance(answer, Response):
            return replace(answer, headers={**answer.headers, **shared_with(request)})
        return answer

    def _answer(self, request: Request) -> Response | Session:
        if request.path.startswith(STREAM):
            return self._stream(request)
        if request.path == CONNECT and request.method == "GET":
            return self._connect(request)
        if request.method not in ("GET", "HEAD"):
            return error_response(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is served", {"Allow": "GET, HEAD"})
        if request.path == "/topics":
            return json_response(HTTPStatus.OK, {"topics": self._shown(request, self._context.hub.topics)})
        if request.path == "/status":
            connected = self._connected()
            shown = {topic: connected[topic] for topic in self._shown(request, connected)}
            return json_response(HTTPStatus.OK, {"connected": shown})
        return error_response(HTTPStatus.NOT_FOUND, f"there is no {request.path}")

    def _shown(self, request: Request, topics: Iterable[str]) -> list[str]:
        """The names a visitor may know."""
        now = self._context.clock()
        return [topic for topic in topics if not denial(request.visitor, Right.SUBSCRIBE, topic, now)]

    def _stream(self, request: Request) -> Response | Session:
        topic = request.path.removeprefix(STREAM)
        authorize(request, Right.SUBSCRIBE, topic, self._context.clock())
        if prefix_of(topic) is not None:
            text = "patterns are followed on /connect, where each channel has its own position"
            return error_response(HTTPStatus.NOT_FOUND, text)
        if not self._context.hub.knows(topic):
            return error_response(HTTPStatus.NOT_FOUND, self._unknown(topic))
        if request.method != "GET":
            return error_response(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is served", {"Allow": "GET"})
        if not self._context.hub.has_room(topic):
            return error_response(
                HTTPStatus.SERVICE_UNAVAILABLE, "there are too many channels", {"Retry-After": "30"}
            )
        wanted = _filter(request)
        since = request.headers.get("last-event-id") or request.argument("since")
        if request.wants_upgrade:
            offered = STREAM_SUBPROTOCOL in request.headers.get("sec-websocket-protocol", "")
            subprotocols = (STREAM_SUBPROTOCOL,) if offered else ()
            agreed = handshake(request, self._context.limits.max_client_message_bytes, subprotocols)
            kind = _envelope(request)
            return kind(self._context, topic, since, agreed, wanted)
        cors = shared_with(request)
        for session in _BY_ACCEPT:
            if request.accepts(session.content_type):
                return session(self._context, topic, since, cors, wanted)
        types = ", ".join(session.content_type for session in _BY_ACCEPT)
        return error_response(
            HTTPStatus.NOT_ACCEPTABLE, f"ask for a WebSocket upgrade, or with Accept for one of {types}"
        )

    def _unknown(self, channel: str) -> str:
        if channel in self._context.hub.topics:
            return f"topic {channel!r} has routes: follow the channels they make of its messages"
        return f"topic {channel!r} is not streamed here"

    def _connect(self, request: Request) -> Response | Session:
        if not request.wants_upgrade:
            return error_response(
                HTTPStatus.UPGRADE_REQUIRED, "/connect speaks WebSocket only", {"Upgrade": "websocket"}
            )
        agreed = handshake(request, self._context.limits.max_client_message_bytes, tuple(DIALECTS))
        return MultiplexSession(self._context, agreed)

    def _check_origin(self, request: Request) -> None:
        origin = request.headers.get("origin")
        if origin is None and request.headers.get("sec-fetch-site") == "cross-site":
            raise BadRequest(HTTPStatus.FORBIDDEN, "a page of another site may not ask without its origin")
        if not self._origins.permits(origin, request.headers.get("host", ""), secure=request.visitor.secure):
            raise BadRequest(
                HTTPStatus.FORBIDDEN, f"origin {origin} is not allowed here: name it by --allow-origin"
            )


def _filter(request: Request) -> Filter | None:
    """What the argument `filter` wants of the messages; None for all."""
    text = request.argument("filter")
    if text is None:
        return None
    try:
        return parse_filter(json.loads(text))
    except BadFilter as error:
        raise BadRequest(HTTPStatus.BAD_REQUEST, str(error)) from None
    except (ValueError, RecursionError):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the argument filter is no JSON") from None


def _envelope(request: Request) -> type[WebSocketSession]:
    """How a WebSocket is given its messages: bare, or with their positions."""
    envelope = request.argument("envelope")
    if envelope not in (None, "json"):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the argument envelope is json, or left out for bare bodies")
    return WebSocketSession if envelope is None else EnvelopeSession
