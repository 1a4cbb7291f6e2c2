"""Compression of a connection (nsqd-tcp 5.3): bytes to bytes, a layer below frames and commands.

Both sides use the same codecs. `decompress` yields bounded pieces, so that a small read which
inflates to gigabytes never exists as one object: the frame limit stops it piece by piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

from nsqgw.errors import ConfigError, ProtocolError

PIECE_SIZE = 256 * 1024
"""Upper bound of one decompressed piece, in bytes."""

_SNAPPY_MAX_CHUNK = 76490 + 4
"""Checksum and worst-case size of 65536 bytes compressed (snappy framing format, section 4.2)."""


class Codec(Protocol):
    """One direction pair of a compressed connection."""

    def compress(self, data: bytes) -> bytes:
        """The bytes to send for `data`, flushed so that the peer can decode all of it at once."""

    def decompress(self, data: bytes) -> Iterator[bytes]:
        """The plain bytes that `data` completes, in pieces; ProtocolError when it is corrupt."""


class Deflate:
    """Raw deflate (RFC 1951), one endless stream a direction, a sync flush after each write."""

    def __init__(self, level: int = 6) -> None:
        self._deflater = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)

    def compress(self, data: bytes) -> bytes:
        return self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)

    def decompress(self, data: bytes) -> Iterator[bytes]:
        inflater = self._inflater
        while True:
            try:
                piece = inflater.decompress(data, PIECE_SIZE)
            except zlib.error as error:
                raise ProtocolError(f"corrupt deflate stream: {error}") from error
            if piece:
                yield piece
            if inflater.eof:
                raise ProtocolError("the peer ended its deflate stream")
            data = inflater.unconsumed_tail
            # Without a tail there may still be output held back by the limit.
            if not data and len(piece) < PIECE_SIZE:
                return


class Snappy:
    """Snappy's framing format; needs the extra `snappy`."""

    def __init__(self) -> None:
        try:
            import snappy
        except ImportError as error:
            raise ConfigError(
                "snappy compression needs python-snappy: pip install 'nsqgw[snappy]'"
            ) from error
        self._compressor = snappy.StreamCompressor()
        self._decompressor = snappy.StreamDecompressor()
        self._pending = bytearray()

    def compress(self, data: bytes) -> bytes:
        compressed: bytes = self._compressor.compress(data)
        return compressed

    def decompress(self, data: bytes) -> Iterator[bytes]:
        # Only whole chunks go to the library, which would otherwise copy its remainder for every read.
        self._pending += data
        end = self._end_of_whole_chunks()
        if not end:
            return
        whole = bytes(memoryview(self._pending)[:end])
        del self._pending[:end]
        try:
            plain: bytes = self._decompressor.decompress(whole)
        except OSError as error:  # what the library's decoder raises
            raise ProtocolError(f"corrupt snappy stream: {error}") from error
        for start in range(0, len(plain), PIECE_SIZE):
            yield plain[start : start + PIECE_SIZE]

    def _end_of_whole_chunks(self) -> int:
        pending, end = self._pending, 0
        while len(pending) >= end + 4:
            size = int.from_bytes(pending[end + 1 : end + 4], "little")
            if size > _SNAPPY_MAX_CHUNK:
                raise ProtocolError(f"snappy chunk of {size} bytes, at most {_SNAPPY_MAX_CHUNK} are legal")
            if len(pending) < end + 4 + size:
                break
            end += 4 + size
        return end
