"""The client's side of the dialogue: what was received, as events; what is to be sent, as bytes.

During the handshake frames are handed out one by one, because after the answer to IDENTIFY the
bytes may change their meaning: nsqd starts compressing at once, often within the same read
(nsqd-tcp 5.3). `established` ends that phase; from then on whole reads are parsed at a stroke.
"""

from __future__ import annotations

from typing import Any, Generic

from nsqgw.errors import ProtocolError
from nsqgw.protocol.compression import Codec
from nsqgw.protocol.messages import DEFAULT_MAX_FRAME_SIZE, Event, FrameParser, M, MessageFactory


class ClientProtocol(Generic[M]):
    """One connection to nsqd, without the connection.

    Call `receive_data` with what was read, send what `encode` returns. `source` accompanies the
    bytes of one read and ends up in the messages parsed from it.
    """

    def __init__(self, make: MessageFactory[M], max_frame_size: int = DEFAULT_MAX_FRAME_SIZE) -> None:
        self._parser = FrameParser(make, max_frame_size)
        self._max_frame_size = max_frame_size
        self._codec: Codec | None = None
        self._handshaking = True

    def receive_data(self, data: bytes, source: Any = None) -> list[Event[M]]:
        """The events that `data` completes; during the handshake at most one.

        `b""` asks for what earlier reads left over. Raises ProtocolError for bytes that are no NSQ.
        """
        if self._handshaking:
            if self._codec is not None:
                self._hold_decompressed(data)
                data = b""
            return self._parser.feed(data, source, most=1)
        if self._codec is None:
            return self._parser.feed(data, source)
        events: list[Event[M]] = []
        for piece in self._codec.decompress(data):
            events += self._parser.feed(piece, source)
        return events

    def encode(self, data: bytes) -> bytes:
        """What to put on the wire for these commands: themselves, or compressed."""
        return data if self._codec is None else self._codec.compress(data)

    def start_encryption(self) -> bytes:
        """What was received behind the last event; no frame begins in it, the layer of TLS does."""
        return self._parser.take_pending()

    def start_compression(self, codec: Codec) -> None:
        """Both directions are compressed from here on, the bytes already received included."""
        self._codec = codec
        self._hold_decompressed(self._parser.take_pending())

    def established(self, source: Any = None) -> list[Event[M]]:
        """The handshake is over: whole reads are parsed from now on. The events that were waiting."""
        self._handshaking = False
        return self._parser.feed(b"", source)

    def _hold_decompressed(self, data: bytes) -> None:
        assert self._codec is not None
        held = 0
        for piece in self._codec.decompress(data):
            held += len(piece)
            if held > self._max_frame_size:
                raise ProtocolError(f"more than {self._max_frame_size} bytes came during the handshake")
            self._parser.hold(piece)
