"""What access adds to the admin port: `POST /disconnect?user=|client=|channel=`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from tornado.routing import Rule, URLSpec
from tornado.web import RequestHandler

from nsqgw.service.hosts import is_loopback

_NAMES = ("user", "client", "channel")


class Disconnecting(Protocol):
    """A gateway that can send clients off."""

    def disconnect(
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

    def post(self) -> None:
        """Those that fit all that is given; `{"disconnected": 3}`."""
        if not is_loopback(self.request.remote_ip) or "Origin" in self.request.headers:
            self._answer(403, {"error": "clients are sent off by programs on this machine only"})
            return
        given = {name: self.get_query_argument(name, None) for name in _NAMES}
        if not any(given.values()):
            self._answer(400, {"error": "name whom to send off by user, client or channel"})
            return
        self._answer(200, {"disconnected": self._gateway.disconnect(**given)})

    def _answer(self, code: int, document: dict[str, object]) -> None:
        self.set_status(code)
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(document) + "\n")
