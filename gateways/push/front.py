"""The listening side: reads the head of one request a connection, answers it or hands the socket over.

Heads are bounded in size and time, connections in number. An answer is followed by a half-close, and the
rest of what the client sends is read and let go until it closes too or its time is up, so that a client
that is still sending gets the answer and no reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from http import HTTPStatus
from typing import Any, cast

from gateways.push.access.grant import Visitor
from gateways.push.access.tls import ServerTls
from gateways.push.context import Context
from gateways.push.entrance import Entrance
from gateways.push.http import (
    END_OF_HEAD,
    STRICT_TRANSPORT,
    BadRequest,
    Request,
    Response,
    error_response,
    parse_request,
)
from gateways.push.session import Session, tune
from nsqgw.deadline import within
from nsqgw.service.listen import BACKLOG, bound_address, listen

logger = logging.getLogger(__name__)

Answer = Response | Session
Router = Callable[[Request], "Answer | Coroutine[Any, Any, Answer]"]
"""Answers a request, or begins to: what it takes, a connection's time for its handshake bounds."""


class HeadReader(asyncio.Protocol):
    """A connection whose request is not here yet, or that gets a plain answer."""

    __slots__ = (
        "_address",
        "_answered",
        "_context",
        "_deadline",
        "_errand",
        "_expected",
        "_head",
        "_method",
        "_received",
        "_router",
        "_transport",
        "_visitor",
    )

    def __init__(
        self,
        context: Context,
        router: Router,
        received: bytes = b"",
        *,
        visitor: Visitor | None = None,
        address: str = "",
    ) -> None:
        self._received = received
        self._context = context
        self._router = router
        self._head = bytearray()
        self._answered = False
        self._method = "GET"
        self._expected = visitor is not None
        """Whether it came by an entrance, where it was counted and its address was found out."""
        self._visitor = visitor or Visitor()
        self._address = address
        self._errand: asyncio.Task[None] | None = None
        self._deadline = context.clock() + context.limits.handshake_timeout

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it
        if self._expected:
            self._context.admit(self)
            return
        tune(self._transport)
        full = len(self._context.connections) >= self._context.limits.max_connections
        self._context.admit(self)
        self._context.accepted += 1
        peer = self._transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        try:
            if full:
                raise BadRequest(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", {"Retry-After": "5"})
            self._context.gate.arrive(self._visitor, self._address, self._context.clock())
        except BadRequest as error:
            self._refuse(error)
        received, self._received = self._received, b""
        if received:
            self.data_received(received)

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return
        if self._errand is not None:
            self._head += data  # what was read before the pause
            return
        searched = max(0, len(self._head) - len(END_OF_HEAD) + 1)
        self._head += data
        limit = self._context.limits.max_head_bytes
        end = self._head.find(END_OF_HEAD, searched, limit)
        if end >= 0:
            end += len(END_OF_HEAD)
            self._serve(bytes(self._head[:end]), bytes(self._head[end:]))
        elif len(self._head) >= limit:
            self._answer(
                error_response(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head is larger than {limit} bytes"
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_errand()
        self._context.gate.leave(self._visitor)
        self._context.release(self)
        self._transport.close()  # TLS on Python 3.10 wants to be told, though there is nothing left

    def look(self, now: float) -> None:
        """Once a turn of the wheel: a head that does not come, a client that does not go."""
        if now < self._deadline:
            return
        if self._answered or not (self._head or self._errand):
            self.abort()
        else:
            self._end_errand()
            self._answer(error_response(HTTPStatus.REQUEST_TIMEOUT, "the request took too long"))

    def leave_in(self, seconds: float) -> None:
        """A request is not told: it is answered, or ends."""

    def end(self) -> None:
        if not self._answered:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _serve(self, raw: bytes, rest: bytes) -> None:
        self._head.clear()
        try:
            request = replace(parse_request(raw), visitor=self._visitor, address=self._address)
            self._method = request.method
            self._context.gate.identify(self._visitor, self._address, request, self._context.clock())
            answer = self._router(request)
        except BadRequest as error:
            self._refuse(error)
            return
        if isinstance(answer, Response | Session):
            self._give(answer, rest)
        else:
            self._transport.pause_reading()  # what comes meanwhile waits in the kernel
            self._head += rest
            self._errand = self._context.errands.run(self._serve_later(answer))

    async def _serve_later(self, answering: Coroutine[Any, Any, Answer]) -> None:
        try:
            answer = await answering
        except BadRequest as error:
            self._errand = None
            self._resume()
            self._refuse(error)
            return
        self._errand = None
        rest = bytes(self._head)
        self._head.clear()
        self._give(answer, rest)
        self._resume()

    def _resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _end_errand(self) -> None:
        if self._errand is not None:
            self._errand.cancel()
            self._errand = None
            self._resume()

    def _give(self, answer: Answer, rest: bytes) -> None:
        if isinstance(answer, Response):
            self._answer(answer, self._method)
        else:
            self._context.release(self)
            answer.visitor = self._visitor
            answer.start(self._transport, rest)

    def _refuse(self, error: BadRequest) -> None:
        self._answer(error_response(error.status, str(error), error.headers), self._method)

    def _answer(self, response: Response, method: str = "GET") -> None:
        self._answered = True
        self._deadline = self._context.clock() + self._context.limits.close_timeout
        if response.status >= HTTPStatus.BAD_REQUEST:
            self._context.refused[response.status] += 1
            logger.info("%s gets %d: %.200s", self._address, response.status, response.reason)
        if self._visitor.secure:
            response = replace(response, headers={**response.headers, **STRICT_TRANSPORT})
        self._transport.write(response.serialize(method))
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()


class Front:
    """The listeners: `start` to serve, `stop_listening` and `close` to end."""

    def __init__(self, context: Context, router: Router, tls: ServerTls | None = None) -> None:
        self._context = context
        self._router = router
        self.tls = tls
        """For new connections; None where they do not speak it."""
        self._servers: list[asyncio.Server] = []
        self._wheel: asyncio.Task[None] | None = None
        self.address = ""
        """The `host:port` listened on, once started; with the port that stands for 0."""

    async def start(self, address: str, *, shared: bool = False) -> None:
        """Listen on `host:port`; ListenFailed when the port is taken or the address is not this machine's.

        With an empty address serve only what is adopted.
        """
        sockets = listen(address, flag="--listen", shared=shared) if address else []
        self.address = bound_address(sockets) if sockets else ""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            server = await loop.create_server(self._new_protocol, sock=sock, backlog=BACKLOG)
            self._servers.append(server)
        self._wheel = asyncio.create_task(self._context.turn_wheel())

    async def adopt(self, sock: socket.socket, received: bytes) -> None:
        """Serve a connection that another server accepted and read `received` from, the head at least."""
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: HeadReader(self._context, self._router, received), sock
        )

    def _new_protocol(self) -> asyncio.Protocol:
        if self.tls is None and not self._context.gate.proxy_protocol:
            return HeadReader(self._context, self._router)
        return Entrance(
            self._context,
            lambda visitor, address: HeadReader(
                self._context, self._router, visitor=visitor, address=address
            ),
            self.tls,
        )

    def stop_listening(self) -> None:
        """Take no new connections."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def close(self, timeout: float = math.inf) -> None:
        """End every connection: browsers are told to come back, and those that do not go are dropped.

        They have the `close_timeout` of the limits for it, and no more than `timeout` seconds.
        """
        self.stop_listening()
        await self._context.errands.close()
        for connection in self._context.connections:
            connection.end()
        with contextlib.suppress(asyncio.TimeoutError):
            await within(min(timeout, self._context.limits.close_timeout), self._context.vacant.wait())
        for connection in self._context.connections:
            connection.abort()
        if self._wheel is not None:
            self._wheel.cancel()
            await asyncio.gather(self._wheel, return_exceptions=True)
            self._wheel = None
        await asyncio.sleep(0)  # aborted transports report their loss in the next turn
