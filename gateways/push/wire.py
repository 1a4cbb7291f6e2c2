"""WebSocket frames (RFC 6455) and their compressed twins (RFC 7692), each made once for all sockets.

One set of parameters is agreed to, without context takeover on either side: then a compressed message
depends on nothing that went before, and the same bytes fit every socket that agreed. A message that is
short, or that does not shrink, goes uncompressed, which the extension allows message by message.
"""

from __future__ import annotations

from collections.abc import Callable

from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

from gateways.push.frame import Frame, is_utf8

WINDOW_BITS = 12
"""A window of 4 KiB: more helps messages of a few KiB little, and every browser holds one."""
COMPRESSED_FROM = 256
"""Bytes of a payload from which compressing is tried."""

Payload = Callable[[Frame], "tuple[Opcode, bytes]"]

DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=WINDOW_BITS,
)
"""What the handshake agrees to when a browser offers it."""

# without context takeover it keeps nothing from one message to the next, so one serves all
_SHARED = PerMessageDeflate(
    remote_no_context_takeover=True,
    local_no_context_takeover=True,
    remote_max_window_bits=15,
    local_max_window_bits=WINDOW_BITS,
)


class WebSocketEncoding:
    """One unmasked frame a message, with the payload that `payload` makes of it."""

    def __init__(self, payload: Payload, *, compressing: bool = False) -> None:
        self._payload = payload
        self._plain = None if compressing else self
        self._compressing = WebSocketEncoding(payload, compressing=True) if not compressing else self

    def __call__(self, frame: Frame) -> bytes:
        opcode, payload = self._payload(frame)
        return wire_frame(opcode, payload, compressing=self._plain is None)

    def for_peer(self, deflate: PerMessageDeflate | None) -> WebSocketEncoding:
        """Itself, or its compressing twin for a peer that can read what is compressed for all."""
        fits = deflate is not None and deflate.local_max_window_bits >= WINDOW_BITS
        return self._compressing if fits else self


def wire_frame(opcode: Opcode, payload: bytes, *, compressing: bool = False) -> bytes:
    """An unmasked frame, compressed where that is wanted and helps."""
    plain = WireFrame(opcode, payload).serialize(mask=False)
    if not compressing or len(payload) < COMPRESSED_FROM:
        return plain
    deflated = WireFrame(opcode, payload).serialize(mask=False, extensions=[_SHARED])
    return min(deflated, plain, key=len)


def _bare(frame: Frame) -> tuple[Opcode, bytes]:
    return (Opcode.TEXT if is_utf8(frame.body) else Opcode.BINARY), frame.body


websocket_message = WebSocketEncoding(_bare)
"""The body and nothing else: text, or binary where it is no UTF-8."""
