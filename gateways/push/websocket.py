"""A browser that speaks WebSocket (RFC 6455): the rules are `websockets`' sans-I/O core, the writes are ours.

Messages are whole frames encoded once for all, written beside the core; only control frames come from it,
so they fall between messages. Of the extensions, one form of permessage-deflate is agreed to (see wire).
The core leaves to us whether text is UTF-8. Browsers have nothing to say on a stream: what they send is
checked, counted and let go.
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.http11 import Request as WireRequest
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateways.push.context import Context
from gateways.push.filter import Filter
from gateways.push.frame import Encoding
from gateways.push.http import BadRequest, Request
from gateways.push.lines import gap_json, message_json
from gateways.push.session import CLOSED, GONE, PROTOCOL_ERROR, Ending, Session
from gateways.push.wire import DEFLATE, WebSocketEncoding, websocket_message, wire_frame

logger = logging.getLogger(__name__)

_new_decoder = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True)
class Handshake:
    """The answer to an upgrade, and the core of the connection that it opens."""

    response: bytes
    core: ServerProtocol

    @property
    def deflate(self) -> PerMessageDeflate | None:
        """The extension agreed to."""
        extension = self.core.extensions[0] if self.core.extensions else None
        return extension if isinstance(extension, PerMessageDeflate) else None


def handshake(request: Request, max_message_bytes: int, subprotocols: Sequence[str] = ()) -> Handshake:
    """The server's side of the connection `request` asks for; BadRequest when the upgrade is malformed.

    The core reads the request itself, so that it alone decides what an acceptable handshake is. The
    connection goes on with a fresh one, which does not hold the request in memory for as long as it lasts.
    """
    opening = ServerProtocol(
        extensions=[DEFLATE], subprotocols=[Subprotocol(name) for name in subprotocols], logger=logger
    )
    opening.receive_data(request.raw)
    events = opening.events_received()
    if not events or not isinstance(events[0], WireRequest):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the WebSocket handshake is malformed")
    response = opening.accept(events[0])
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        raise BadRequest(HTTPStatus(response.status_code), str(opening.handshake_exc))
    opening.send_response(response)
    core = ServerProtocol(state=State.OPEN, max_size=max_message_bytes, logger=logger)
    core.extensions, core.subprotocol = opening.extensions, opening.subprotocol
    return Handshake(b"".join(opening.data_to_send()), core)


class WebSocketConnection(Session):
    """The conduct of a WebSocket, whatever is said on it: control frames, pings, bounds, closes."""

    __slots__ = ("_answer", "_bytes", "_core", "_frames", "_heard_at", "_pinged_at", "_text", "encoding")

    def __init__(
        self, context: Context, topics: Collection[str], handshake: Handshake, encoding: WebSocketEncoding
    ) -> None:
        super().__init__(context, topics)
        self._answer = handshake.response
        self._core = handshake.core
        self.encoding: Encoding = encoding.for_peer(handshake.deflate)
        self._frames = 0
        self._bytes = 0
        self._text: codecs.IncrementalDecoder | None = None
        """While a text message comes in pieces."""
        self._heard_at = self._context.clock()
        self._pinged_at: float | None = None

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._context.clock()
        self._pinged_at = None
        self._core.receive_data(data)
        events = self._core.events_received()
        room = max(0, self._context.limits.max_client_frames - self._frames)
        self._context.client_frames += len(events)
        self._frames += len(events)
        self._bytes += len(data)
        for event in events[:room]:
            if isinstance(event, WireFrame) and self._listening:
                self._heard(event)
        if self._core.state is not State.OPEN:
            self._leave(CLOSED if self._core.parser_exc is None else PROTOCOL_ERROR)
        elif (
            self._frames > self._context.limits.max_client_frames
            or self._bytes > self._context.limits.max_client_bytes
        ):
            self.close(Ending.TOO_CHATTY)
        self._write_control()

    def eof_received(self) -> None:
        self._core.receive_eof()
        self._leave(GONE)

    def _open(self) -> None:
        self._transport.write(self._answer)
        self._answer = b""

    def _heard(self, frame: WireFrame) -> None:
        """A frame of the browser, a good one, decompressed.

        Text that is not UTF-8 ends the connection, as soon as that shows.
        """
        if frame.opcode is Opcode.TEXT:
            self._text = _new_decoder()
        elif frame.opcode is not Opcode.CONT:
            return  # binary, or a control frame in the middle of a message
        if self._text is not None:
            try:
                self._text.decode(frame.data, frame.fin)
            except UnicodeDecodeError:
                self.close(Ending.NOT_UTF8)
            if frame.fin:
                self._text = None

    def _keep_alive(self, now: float) -> None:
        self._frames = self._bytes = 0
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


class WebSocketSession(WebSocketConnection):
    """One text frame a message, binary where the body is no UTF-8."""

    __slots__ = ("_since", "_wanted")

    kind = "websocket"
    message: ClassVar[WebSocketEncoding] = websocket_message

    def __init__(
        self,
        context: Context,
        topic: str,
        since: str | None,
        handshake: Handshake,
        wanted: Filter | None = None,
    ) -> None:
        super().__init__(context, (topic,), handshake, self.message)
        self._since = since
        self._wanted = wanted

    def _open(self) -> None:
        super()._open()
        for topic in self.topics:
            self._follow(topic, self._since, self._wanted)


class EnvelopeSession(WebSocketSession):
    """One JSON object a message, as a line of NDJSON: with its position, to go on from, and gaps told."""

    __slots__ = ()

    message = WebSocketEncoding(lambda frame: (Opcode.TEXT, message_json(frame)))

    def _gap(self, topic: str, lost: int | None) -> bytes:
        return wire_frame(Opcode.TEXT, gap_json(lost))
