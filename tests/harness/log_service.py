"""What log services in the test's own loop have in common: they keep requests and events, and answer.

`script` answers the next requests in place of the service.
"""

from __future__ import annotations

import gzip
import json
import ssl
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import cramjam
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream
from tornado.web import Application, RequestHandler

from nsqgw.service.listen import bound_address, listen


@dataclass
class Reply:
    """`document` goes as JSON, text as it is; `raw` goes in place of an answer, and then nothing more.

    The connection ends with it, unless it `holds`.
    """

    status: int = 200
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    holds: bool = False


class LogService:
    """Subclasses say what becomes of a request."""

    listen_on = "127.0.0.1:0"

    tls: ssl.SSLContext | None = None

    def __init__(self) -> None:
        self.requests: list[HTTPServerRequest] = []
        self.events: list[bytes] = []
        self.script: list[Reply] = []
        self._held: list[IOStream] = []
        service = self

        class Take(RequestHandler):
            async def prepare(self) -> None:
                service.requests.append(self.request)
                reply = service.script.pop(0) if service.script else service.take(self.request)
                if reply.raw is not None:
                    await service.say(self.detach(), reply)
                    return
                self.set_status(reply.status)
                for name, value in reply.headers.items():
                    self.set_header(name, value)
                text = isinstance(reply.document, str | bytes)
                if reply.document is not None:
                    self.write(reply.document if text else json.dumps(reply.document))
                    if not text:
                        self.set_header("Content-Type", "application/json")
                self.finish()

        self._server = HTTPServer(
            Application([("/.*", Take)], log_function=lambda handler: None), ssl_options=self.tls
        )
        sockets = listen(self.listen_on)
        self._server.add_sockets(sockets)
        self.url = f"{'https' if self.tls else 'http'}://{bound_address(sockets)}"

    async def say(self, stream: IOStream, reply: Reply) -> None:
        """What is no answer."""
        self._held.append(stream)
        if reply.raw:
            await stream.write(reply.raw)
        if not reply.holds:
            stream.close()

    async def close(self) -> None:
        for stream in self._held:
            stream.close()
        self._server.stop()
        await self._server.close_all_connections()

    def take(self, request: HTTPServerRequest) -> Reply:
        raise NotImplementedError

    def restore(self, events: Iterable[bytes]) -> None:
        """Know what an earlier one took."""


def unpacked(request: HTTPServerRequest) -> bytes:
    """The body without its compression."""
    match request.headers.get("Content-Encoding"):
        case None:
            return request.body
        case "gzip":
            return gzip.decompress(request.body)
        case "deflate":
            return zlib.decompress(request.body)
        case "zstd":
            return bytes(cramjam.zstd.decompress(request.body))
        case "snappy":
            return bytes(cramjam.snappy.decompress_raw(request.body))
    raise AssertionError(request.headers["Content-Encoding"])
