"""Which of push-stream's URLs is which, who may use it, and what is refused.

/sub/<channels>  /ev/<channels>  /lp/<channels>  /ws/<channels>    subscribers, `a.b4/b` for several channels
/pub?id=<channel>                                                  POST, PUT, GET, DELETE
/channels-stats[?id=<channel>]                                     figures, as JSON
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from http import HTTPStatus

from gateways.push.access.cors import shared_with
from gateways.push.access.grant import Right, denial
from gateways.push.context import Context
from gateways.push.http import Request, Response
from gateways.push.push_stream.paths import (
    NO_CHANNEL,
    NO_HANDSHAKE,
    NOT_AUTHORIZED,
    NOT_CREATED,
    TOO_MANY,
    Refused,
    Wish,
    answer,
    is_reserved,
    parse_wishes,
    too_many,
)
from gateways.push.push_stream.publish import PublishSession
from gateways.push.push_stream.resume import resumed_at
from gateways.push.push_stream.sessions import (
    Deletable,
    EventSourceSession,
    Following,
    LongPollSession,
    Manner,
    RefusedSocket,
    SocketSession,
    StreamSession,
)
from gateways.push.push_stream.settings import SUBSCRIBERS, PushStreamSettings
from gateways.push.push_stream.statistics import Document, Statistics
from gateways.push.push_stream.template import MessageTemplate
from gateways.push.session import Session
from gateways.push.websocket import handshake
from gateways.push.wire import WebSocketEncoding

Answer = Response | Session

METHODS = "GET, POST, PUT, DELETE"
REQUEST_HEADERS = ", If-Modified-Since, If-None-Match, X-Nginx-PushStream-Mode, Event-Id, Event-Type"
"""What pages of other origins may use here, beyond what they may elsewhere."""

_MODE = "x-nginx-pushstream-mode"
_CALLBACK = re.compile(r"[A-Za-z_$][\w$.]{0,99}", re.ASCII)
_EXPOSED = "Last-Modified, Etag, X-Nginx-PushStream-Explain, Retry-After"
_PUBLISHING = ("POST", "PUT")
_OF_THIS_ORIGIN = ("same-origin", "none")
"""What Sec-Fetch-Site says for pages of this origin, and for what the user typed in."""


class PushStreamRoutes:
    """Answers requests to the URLs of `settings`; the caller has checked host, origin and credentials."""

    def __init__(self, context: Context, settings: PushStreamSettings) -> None:
        self._context = context
        self._settings = settings
        template = MessageTemplate(settings.template)
        self._manner = Manner(template, WebSocketEncoding(template.payload))
        self._statistics = Statistics(context.hub)
        self._subscribers = {getattr(settings, name): name for name in SUBSCRIBERS}

    def serves(self, path: str) -> bool:
        """Whether this is one of its URLs."""
        return path in (self._settings.publish, self._settings.statistics) or self._mode(path) is not None

    def __call__(self, request: Request) -> Answer:
        cors = _shared(request)
        try:
            if request.path == self._settings.statistics:
                return self._figures(request, cors)
            if request.path == self._settings.publish:
                return self._publisher(request, cors)
            return self._subscriber(request, cors)
        except Refused as refused:
            return refused.response(cors)

    # subscribers

    def _mode(self, path: str) -> str | None:
        return next((name for prefix, name in self._subscribers.items() if path.startswith(prefix)), None)

    def _subscriber(self, request: Request, cors: dict[str, str]) -> Answer:
        mode = self._mode(request.path)
        if request.method != "GET":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, Allow="GET")
        if mode == "websocket":
            return self._socket(request)
        following = self._following(request)
        switched = request.headers.get(_MODE, "").lower()
        if mode == "poll" or switched in ("polling", "long-polling"):
            callback = _callback(request)
            patient = switched != "polling"
            return LongPollSession(self._context, following, cors, patient=patient, callback=callback)
        session = EventSourceSession if mode == "events" else StreamSession
        return session(self._context, following, cors)

    def _socket(self, request: Request) -> Answer:
        if not request.wants_upgrade:
            raise Refused(*NO_HANDSHAKE)
        agreed = handshake(request, self._context.limits.max_client_message_bytes)
        try:
            return SocketSession(self._context, self._following(request), agreed)
        except Refused as refused:
            return RefusedSocket(self._context, agreed, self._manner.socket, refused.status, str(refused))

    def _following(self, request: Request) -> Following:
        prefix = next(prefix for prefix in self._subscribers if request.path.startswith(prefix))
        wishes = parse_wishes(request.path.removeprefix(prefix), self._context.limits.max_channels)
        for wish in wishes:
            self._allow(request, Right.SUBSCRIBE, wish)
        since = resumed_at(request, self._context.hub.numbering)
        return Following({wish.channel: wish for wish in wishes}, since, self._manner)

    def _allow(self, request: Request, right: Right, wish: Wish) -> None:
        if denial(request.visitor, right, wish.channel, self._context.clock()):
            raise Refused(*NOT_AUTHORIZED)
        hub = self._context.hub
        if not hub.knows(wish.channel):
            raise Refused(*NOT_CREATED)
        if not hub.has_room(wish.channel):
            raise Refused(*TOO_MANY)

    # publishers

    def _publisher(self, request: Request, cors: dict[str, str]) -> Answer:
        if request.method not in ("GET", "DELETE", *_PUBLISHING):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, Allow=METHODS)
        names = tuple(dict.fromkeys(name for name in (request.argument("id") or "").split("/") if name))
        if not names:
            raise Refused(*NO_CHANNEL)
        if len(names) > self._context.limits.max_channels:
            raise Refused(*too_many(self._context.limits.max_channels))
        for name in names:
            if is_reserved(name) or denial(request.visitor, Right.PUBLISH, name, self._context.clock()):
                raise Refused(*NOT_AUTHORIZED)
            if request.method not in _PUBLISHING and not self._context.hub.knows(name):
                raise Refused(HTTPStatus.NOT_FOUND)
            if name not in self._context.publish_topics or self._context.publisher is None:
                raise Refused(*NOT_AUTHORIZED)
        if request.method in _PUBLISHING:
            length = self._length(request)
            return PublishSession(self._context, names, length, cors, lambda: self._published(names, cors))
        return self._delete(names, cors) if request.method == "DELETE" else self._published(names, cors)

    def _length(self, request: Request) -> int:
        text = request.headers.get("content-length", "")
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing.")
        if int(text) > self._context.limits.max_client_message_bytes:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The message is too large.")
        return int(text)

    def _published(self, names: Collection[str], cors: dict[str, str]) -> Response:
        channels = self._context.hub.channels
        known = [name for name in names if name in channels]
        if len(names) > 1:
            return _json(self._statistics.group(known, len(channels)), cors)
        if not known:
            return answer(HTTPStatus.NOT_FOUND, headers=cors)
        return _json(self._statistics.channel(known[0]), cors)

    def _delete(self, names: Collection[str], cors: dict[str, str]) -> Response:
        """Send off who follows the channel here; its messages are NSQ's and stay."""
        for connection in self._context.connections:
            if isinstance(connection, Deletable):
                for name in set(names).intersection(connection.topics):
                    connection.deleted(name, self._settings.deleted)
                    break
        explain = Refused(HTTPStatus.OK, "Channel deleted.")
        return explain.response(cors)

    # figures

    def _figures(self, request: Request, cors: dict[str, str]) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, Allow="GET")
        now = self._context.clock()
        visible = [
            name
            for name in self._context.hub.channels
            if not denial(request.visitor, Right.SUBSCRIBE, name, now)
        ]
        asked = request.argument("id")
        document = self._statistics.asked(asked, visible)
        return answer(HTTPStatus.NOT_FOUND, headers=cors) if document is None else _json(document, cors)


def _callback(request: Request) -> str | None:
    """The function that gets the answer; Refused unless it is surely one of a page that came from here.

    A script may be asked for, and read, by the pages of all sites, and browsers name no origin with it: only
    where they say that the page is of the same origin are the user's cookies and network not lent to others.
    """
    callback = request.argument("callback") or None
    if callback is None:
        return None
    if not _CALLBACK.fullmatch(callback):
        raise Refused(HTTPStatus.BAD_REQUEST, "The callback is no name of a function.")
    if request.headers.get("sec-fetch-site") not in _OF_THIS_ORIGIN:
        raise Refused(HTTPStatus.FORBIDDEN, "JSONP is for pages that the browser says are of this origin.")
    return callback


def _json(document: Document, cors: dict[str, str]) -> Response:
    return answer(HTTPStatus.OK, json.dumps(document).encode() + b"\r\n", "application/json", cors)


def _shared(request: Request) -> dict[str, str]:
    headers = shared_with(request)
    if "Access-Control-Allow-Origin" in headers:
        headers["Access-Control-Expose-Headers"] = _EXPOSED
    return headers
