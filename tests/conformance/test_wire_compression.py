"""Deflate and snappy on the wire (nsqd-tcp 5.3): the answer in the clear, then everything compressed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import snappy

from harness.wire import MESSAGE, RESPONSE, Wire, sized


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


class Compressed:
    """Frames over a codec; begins right behind the answer to IDENTIFY."""

    def __init__(self, wire: Wire, codec: DeflateCodec | SnappyCodec) -> None:
        self.wire = wire
        self.codec = codec
        self.plain = b""

    def send(self, data: bytes) -> None:
        self.wire.send(self.codec.compress(data))

    def frame(self) -> tuple[int, bytes]:
        while len(self.plain) < 8 or len(self.plain) < 4 + struct.unpack(">i", self.plain[:4])[0]:
            self.plain += self.codec.decompress(self.wire.exactly(1))
        size, kind = struct.unpack(">ii", self.plain[:8])
        data, self.plain = self.plain[8 : 4 + size], self.plain[4 + size :]
        return kind, data


@pytest.mark.parametrize(("name", "codec"), [("deflate", DeflateCodec), ("snappy", SnappyCodec)])
def test_c_tcp_43_44_upgrade_and_traffic(
    connect: Callable[..., Wire], topic: str, name: str, codec: Callable[[], Any]
) -> None:
    wire = connect()
    answer = wire.negotiate(**{name: True}, output_buffer_timeout=25)
    assert (answer["deflate"], answer["snappy"]) == (name == "deflate", name == "snappy")
    stream = Compressed(wire, codec())
    assert stream.frame() == (RESPONSE, b"OK")
    bodies = [b"x", b"y" * 100_000]
    for body in bodies:
        stream.send(f"PUB {topic}\n".encode() + sized(body))
        assert stream.frame() == (RESPONSE, b"OK")
    stream.send(f"SUB {topic} ch\nRDY 2\n".encode())
    assert stream.frame() == (RESPONSE, b"OK")
    frames = [stream.frame() for _ in bodies]
    assert [kind for kind, _ in frames] == [MESSAGE, MESSAGE]
    assert sorted(data[26:] for _, data in frames) == bodies


def test_what_is_not_allowed_is_not_granted(start_nsqd: Callable[..., Any]) -> None:
    daemon = start_nsqd(deflate=False, snappy=False)
    with Wire(daemon.tcp_address) as wire:
        answer = wire.negotiate(deflate=True)
        assert (answer["deflate"], answer["snappy"]) == (False, False)
        wire.ok(b"PUB t", b"in the clear")


def test_deflate_level_is_clamped(start_nsqd: Callable[..., Any]) -> None:
    daemon = start_nsqd(max_deflate_level=4)
    with Wire(daemon.tcp_address) as wire:
        answer = wire.negotiate(deflate=True, deflate_level=9)
        assert (answer["deflate_level"], answer["max_deflate_level"]) == (4, 4)
