"""An HTTP log service in the test's own loop: keeps what it got, answers as told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from nsqgw.service.listen import bound_address, listen

Respond = Callable[[RequestHandler], Awaitable[None] | None]


class LogService:
    """Takes NDJSON at any path; `respond` decides each answer, 200 by default."""

    def __init__(self) -> None:
        self.requests: list[HTTPServerRequest] = []
        self.respond: Respond | None = None
        service = self

        class Take(RequestHandler):
            async def post(self) -> None:
                service.requests.append(self.request)
                answer = service.respond(self) if service.respond is not None else None
                if answer is not None:
                    await answer

            get = post

        self._server = HTTPServer(Application([("/.*", Take)], log_function=lambda handler: None))
        sockets = listen("127.0.0.1:0")
        self._server.add_sockets(sockets)
        self.url = f"http://{bound_address(sockets)}/in"

    @property
    def lines(self) -> list[bytes]:
        """The lines of all requests that got a 2xx answer or none yet, in order."""
        return [line for request in self.requests for line in request.body.splitlines()]

    async def close(self) -> None:
        self._server.stop()
        await self._server.close_all_connections()
