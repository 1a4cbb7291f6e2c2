"""What comes before a request on some connections: the word of a proxy whom it is for, and TLS.

Connections are counted from their first moment, so those that never finish a handshake have the same bounds
as any other. Nothing is answered here, since the client could not read it: what is refused is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from gateways.push.access.grant import Visitor
from gateways.push.access.proxy_protocol import BadProxyHeader, read_proxy_header
from gateways.push.access.tls import ServerTls
from gateways.push.context import Context
from gateways.push.http import BadRequest
from gateways.push.session import tune

if TYPE_CHECKING:
    from gateways.push.front import HeadReader

logger = logging.getLogger(__name__)


class Entrance(asyncio.Protocol):
    """A connection on its way to a `HeadReader`, which `reader` makes for a visitor and its address."""

    __slots__ = (
        "_address",
        "_context",
        "_deadline",
        "_early",
        "_errand",
        "_reader",
        "_tls",
        "_transport",
        "_visitor",
    )

    def __init__(
        self, context: Context, reader: Callable[[Visitor, str], HeadReader], tls: ServerTls | None
    ) -> None:
        self._context = context
        self._reader = reader
        self._tls = tls
        self._visitor = Visitor()
        self._early = bytearray()
        self._errand: asyncio.Task[None] | None = None
        self._deadline = context.clock() + context.limits.handshake_timeout

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        tune(self._transport)
        full = len(self._context.connections) >= self._context.limits.max_connections
        self._context.admit(self)
        self._context.accepted += 1
        peer = self._transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        if full:
            self._drop(HTTPStatus.SERVICE_UNAVAILABLE)
        elif not self._context.gate.speaks_proxy_protocol(self._address):
            self._enter()

    def data_received(self, data: bytes) -> None:
        self._early += data
        if self._errand is not None:
            return  # after the handshake, before the reader of the request is there
        try:
            header = read_proxy_header(bytes(self._early))
        except BadProxyHeader as error:
            logger.warning("the proxy %s is to speak the PROXY protocol: %s", self._address, error)
            self._drop(HTTPStatus.BAD_REQUEST)
            return
        if header is not None:
            del self._early[: header.length]
            self._address = header.client or self._address
            self._enter()

    def connection_lost(self, exc: Exception | None) -> None:
        self._context.gate.leave(self._visitor)
        self._context.release(self)

    def look(self, now: float) -> None:
        """Once a turn of the wheel: a handshake that does not come."""
        if now >= self._deadline:
            self._drop(HTTPStatus.REQUEST_TIMEOUT)

    def leave_in(self, seconds: float) -> None:
        """Who has not begun to speak is not told."""

    def end(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._errand is not None:
            self._errand.cancel()
        self._transport.abort()

    def _enter(self) -> None:
        try:
            self._context.gate.arrive(self._visitor, self._address, self._context.clock())
        except BadRequest as error:
            self._drop(error.status)
            return
        if self._tls is None:
            self._hand_over(self._transport)
        else:
            self._errand = self._context.errands.run(self._start_tls(self._tls))

    async def _start_tls(self, tls: ServerTls) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                self._transport,
                self,
                tls.context,
                server_side=True,
                ssl_handshake_timeout=self._context.limits.handshake_timeout,
            )
        except (OSError, asyncio.TimeoutError) as error:
            logger.debug("%s: no TLS: %s", self._address, error)
            self.connection_lost(error)
            return
        except asyncio.CancelledError:
            self.connection_lost(None)  # Python 3.10 does not tell of the end of a handshake
            raise
        if transport is None or transport.is_closing():
            self.connection_lost(None)
            return
        self._visitor.secure = True
        self._hand_over(transport)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        reader = self._reader(self._visitor, self._address)
        self._context.release(self)
        transport.set_protocol(reader)
        reader.connection_made(transport)
        if self._early:
            reader.data_received(bytes(self._early))

    def _drop(self, status: HTTPStatus) -> None:
        self._context.refused[status] += 1
        self.abort()
