"""A client's layers above TCP, for checks to the byte: TLS, and deflate or snappy above it or alone.

As `wire`, it shares no code with nsqgw.
"""

from __future__ import annotations

import ssl
import struct
import zlib
from typing import Any, Protocol

import snappy

from harness.wire import Closed, Wire


class Codec(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def decompress(self, data: bytes) -> bytes: ...


class DeflateCodec:
    """Raw deflate, one endless stream each way, flushed after every command."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(wbits=-15)
        self._decompressor = zlib.decompressobj(wbits=-15)

    def compress(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def decompress(self, data: bytes) -> bytes:
        return self._decompressor.decompress(data)


class SnappyCodec:
    """Snappy's framing format."""

    def __init__(self) -> None:
        self._compressor = snappy.StreamCompressor()
        self._decompressor = snappy.StreamDecompressor()

    def compress(self, data: bytes) -> bytes:
        return bytes(self._compressor.compress(data))

    def decompress(self, data: bytes) -> bytes:
        return bytes(self._decompressor.decompress(data))


class Layered:
    """Frames over the layers of a Wire; begins right behind the answer to IDENTIFY.

    With `tls` the handshake is done here, and `socket` is the encrypted one from then on.
    """

    def __init__(self, wire: Wire, tls: ssl.SSLContext | None = None) -> None:
        self.socket = wire.socket
        if tls is not None:
            self.socket = wire.socket = tls.wrap_socket(wire.socket, server_hostname="127.0.0.1")
        self._codec: Codec | None = None
        self._plain = bytearray()

    def start_compression(self, codec: Codec) -> None:
        """What is read and sent from here on is compressed."""
        self._codec = codec

    def send(self, data: bytes) -> None:
        self.socket.sendall(data if self._codec is None else self._codec.compress(data))

    def frame(self) -> tuple[int, bytes]:
        """The next frame, read by no byte too many where a layer may begin behind it."""
        size, kind = struct.unpack(">ii", self._exactly(8))
        return kind, self._exactly(size - 4)

    def ask(self, command: bytes, body: bytes | None = None) -> tuple[int, bytes]:
        sized = b"" if body is None else struct.pack(">i", len(body)) + body
        self.send(command + b"\n" + sized)
        return self.frame()

    def _exactly(self, size: int) -> bytes:
        while len(self._plain) < size:
            if self._codec is None:
                chunk = self.socket.recv(size - len(self._plain))
            else:
                chunk = self.socket.recv(65536)
            if not chunk:
                raise Closed(f"end of stream after {bytes(self._plain)!r}")
            self._plain += chunk if self._codec is None else self._codec.decompress(chunk)
        data = bytes(self._plain[:size])
        del self._plain[:size]
        return data


CODECS: dict[str, Any] = {"deflate": DeflateCodec, "snappy": SnappyCodec}
