"""The gateway inside an application of tornado: its streams under a path of the application, on its port.

    gateway = PushGateway(PushConfig(topics=("events",), listen="", nsqd_tcp_addresses=("127.0.0.1:4150",)))
    application = tornado.web.Application([(r"/live(/.*)", PushHandler, {"gateway": gateway}), ...])

tornado reads the request; from then on the connection is the gateway's, which serves it as if it had accepted
it, checks and limits included. Applications of other kinds run the gateway in their event loop on a port of
its own: `await gateway.start()`.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

from tornado.iostream import IOStream, SSLIOStream
from tornado.web import HTTPError, RequestHandler

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

    from gateways.push.gateway import PushGateway

_MOST_READ = 65_536


class PushHandler(RequestHandler):
    """Hands connections over to `gateway`; the first group of its pattern is the path asked for there."""

    def initialize(self, gateway: PushGateway) -> None:
        """`gateway` may be started before or after the application listens."""
        self._gateway = gateway

    async def get(self, path: str) -> None:
        """Every method goes the same way: what the gateway does not serve it refuses itself."""
        if not self._gateway.serving:
            raise HTTPError(503, "the gateway has not been started, or is stopped")
        if self.request.body:
            raise HTTPError(413, "the gateway takes no request bodies")
        head = _head(self.request, path)
        stream = self.detach()
        if isinstance(stream, SSLIOStream):
            stream.close()
            raise RuntimeError(
                "PushHandler cannot take over TLS connections: end TLS in a proxy before the application, or "
                "give the gateway a port of its own"
            )
        sock, rest = _taken_from(stream)
        await self._gateway.adopt(sock, head + rest)

    head = options = get


def _head(request: HTTPServerRequest, path: str) -> bytes:
    """The request's head, as it was but for its path, which tornado has decoded: line ends may be in it."""
    target = f"{quote(path)}?{request.query}" if request.query else quote(path)
    lines = [f"{request.method} {target} {request.version}"]
    lines += [f"{name}: {value}" for name, value in request.headers.get_all()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def _taken_from(stream: IOStream) -> tuple[socket.socket, bytes]:
    """The socket, which is ours from here on, and what tornado has already read from it."""
    # done at once if something is there
    reading = asyncio.ensure_future(stream.read_bytes(_MOST_READ, partial=True))
    rest = reading.result() if reading.done() else b""
    sock = stream.socket.dup()
    stream.close()
    reading.add_done_callback(lambda ended: ended.exception())  # one that found nothing ends with the stream
    return sock, rest
