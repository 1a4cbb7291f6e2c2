"""One message as browsers get it: encoded once for each encoding, however many browsers there are.

An encoding turns a frame into the bytes of one way of delivery (a WebSocket frame, a block of an event
stream). A frame keeps what was encoded, lazily, so an encoding nobody asks for costs nothing; a burst does
the same for frames that leave together, so that every socket gets one write. No socket in here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable

from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

Encoding = Callable[["Frame"], bytes]

BINARY_EVENT = "binary"
"""Event name of an event stream's block whose data is base64, because the body is no UTF-8."""

_LINE_END = re.compile(rb"\r\n|\r|\n")


class Frame:
    """One message on its way to browsers."""

    __slots__ = ("_encoded", "body")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._encoded: dict[Encoding, bytes] = {}

    def encoded(self, encoding: Encoding) -> bytes:
        """The bytes of this frame in `encoding`; the same object for everybody who asks."""
        data = self._encoded.get(encoding)
        if data is None:
            data = self._encoded[encoding] = encoding(self)
        return data


class Burst:
    """Frames of one topic that leave together, in order: one write a socket instead of one a frame."""

    __slots__ = ("_joined", "frames")

    def __init__(self, bodies: Iterable[bytes]) -> None:
        self.frames = tuple(Frame(body) for body in bodies)
        self._joined: dict[Encoding, bytes] = {}

    def encoded(self, encoding: Encoding) -> bytes:
        """The frames in `encoding`, joined; the same object for everybody who asks."""
        data = self._joined.get(encoding)
        if data is None:
            data = self._joined[encoding] = b"".join([frame.encoded(encoding) for frame in self.frames])
        return data


def websocket_message(frame: Frame) -> bytes:
    """An unmasked WebSocket frame (RFC 6455 section 5): text, or binary where the body is no UTF-8."""
    opcode = Opcode.TEXT if is_utf8(frame.body) else Opcode.BINARY
    return WireFrame(opcode, frame.body).serialize(mask=False)


def event_block(frame: Frame) -> bytes:
    """A block of an event stream (HTML standard, server-sent events).

    One `data` line for each line of the body; the reader joins them with LF, so CR and CRLF arrive as LF.
    A body that is no UTF-8 cannot be said in an event stream: it is one line of base64 under the event
    name `binary`.
    """
    if not is_utf8(frame.body):
        return b"event: %s\ndata: %s\n\n" % (BINARY_EVENT.encode(), base64.b64encode(frame.body))
    return b"".join([b"data: %s\n" % line for line in _LINE_END.split(frame.body)]) + b"\n"


def is_utf8(body: bytes) -> bool:
    """Whether `body` can be shown as text."""
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
