"""What access adds to the admin port: `POST /disconnect?user=|client=|channel=`."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Protocol

from tornado.httputil import HTTPServerRequest
from tornado.routing import Rule, URLSpec
from tornado.web import RequestHandler

from nsqgw.service.hosts import is_loopback

_NAMES = ("user", "client", "channel")


class Disconnecting(Protocol):
    """A gateway that can send clients off."""

    async def disconnect(
        self, *, user: str | None = None, client: str | None = None, channel: str | None = None
    ) -> int:
        """See `revocation.disconnect`."""
        ...


def access_pages(gateway: Disconnecting) -> Sequence[Rule]:
    """The route of a gateway."""
    return [URLSpec("/disconnect", _Disconnect, {"gateway": gateway})]


class _Disconnect(RequestHandler):
    def initialize(self, gateway: Disconnecting) -> None:
        self._gateway = gateway

    async def post(self) -> None:
        """Those that fit all that is given; `{"disconnected": 3}`."""
        if not _is_from_here(self.request) or "Origin" in self.request.headers:
            self._answer(403, {"error": "clients are sent off by programs on this machine only"})
            return
        given = {name: self.get_query_argument(name, None) for name in _NAMES}
        if not any(given.values()):
            self._answer(400, {"error": "name whom to send off by user, client or channel"})
            return
        self._answer(200, {"disconnected": await self._gateway.disconnect(**given)})

    def _answer(self, code: int, document: dict[str, object]) -> None:
        self.set_status(code)
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(document) + "\n")


def _is_from_here(request: HTTPServerRequest) -> bool:
    """Whether a program on this machine asks; a unix socket is for those who may open its file."""
    connection = request.connection
    sock = getattr(getattr(connection, "stream", None), "socket", None)
    return is_loopback(request.remote_ip) or (sock is not None and sock.family == socket.AF_UNIX)
