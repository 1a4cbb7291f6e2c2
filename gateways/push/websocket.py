"""A browser that speaks WebSocket (RFC 6455): the rules are `websockets`' sans-I/O core, the writes are ours.

Messages are whole frames encoded once for all, written beside the core; only control frames come from it,
so they fall between messages. No extension is negotiated. Browsers have nothing to say so far: what they
send is checked, counted and let go.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from websockets.http11 import Request as WireRequest
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateways.push.context import Context
from gateways.push.frame import websocket_message
from gateways.push.http import BadRequest, Request
from gateways.push.session import CLOSED, GONE, PROTOCOL_ERROR, Ending, Session

logger = logging.getLogger(__name__)


def handshake(request: Request, max_message_bytes: int) -> ServerProtocol:
    """The server's side of the connection `request` asks for; BadRequest when the upgrade is malformed.

    The core reads the request itself, so that it alone decides what an acceptable handshake is.
    """
    core = ServerProtocol(max_size=max_message_bytes, logger=logger)
    core.receive_data(request.raw)
    events = core.events_received()
    if not events or not isinstance(events[0], WireRequest):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the WebSocket handshake is malformed")
    response = core.accept(events[0])
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        raise BadRequest(HTTPStatus(response.status_code), str(core.handshake_exc))
    core.send_response(response)
    return core


class WebSocketSession(Session):
    """One text frame a message, binary where the body is no UTF-8."""

    __slots__ = ("_core", "_frames", "_heard_at", "_pinged_at")

    encoding = staticmethod(websocket_message)
    kind = "websocket"

    def __init__(self, context: Context, topic: str, core: ServerProtocol) -> None:
        super().__init__(context, topic)
        self._core = core
        self._frames = 0
        self._heard_at = context.clock()
        self._pinged_at: float | None = None

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._context.clock()
        self._pinged_at = None
        self._core.receive_data(data)
        received = len(self._core.events_received())
        self._context.client_frames += received
        self._frames += received
        if self._core.state is not State.OPEN:
            self._leave(CLOSED if self._core.parser_exc is None else PROTOCOL_ERROR)
        elif self._frames > self._context.limits.max_client_frames:
            self.close(Ending.TOO_CHATTY)
        self._write_control()

    def eof_received(self) -> None:
        self._core.receive_eof()
        self._leave(GONE)

    def _open(self) -> None:
        self._write_control()

    def _keep_alive(self, now: float) -> None:
        self._frames = 0
        limits = self._context.limits
        if self._pinged_at is not None:
            if now - self._pinged_at >= limits.pong_timeout:
                self.close(Ending.NO_PONG)
        elif now - self._heard_at >= limits.ping_interval:
            self._pinged_at = now
            self._core.send_ping(b"")
            self._write_control()

    def _say_farewell(self, ending: Ending) -> None:
        if self._core.state is State.OPEN:
            self._core.send_close(ending.code, ending.reason)
            self._write_control()

    def _write_control(self) -> None:
        """Write what the core has to say: handshake, ping, pong, close, end of stream."""
        for data in self._core.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                # half-close: with a full close, unread frames would reset the peer before it reads the close
                self._transport.write_eof()
            else:
                self._transport.close()
