"""Compressed files as chains of whole pieces: what was synced can be read, whatever happens after it.

Every write is a gzip member or zstd frame of its own; readers of both formats take a chain for one file. What
an interrupted write left at the end can be found, and cut off.
"""

from __future__ import annotations

import gzip
import importlib
import os
import zlib
from typing import BinaryIO, Protocol

from gateways.pipeline.sink import SinkUnusable

_CHUNK = 1 << 20
_GZIP_WINDOW = 31
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_RLE_BLOCK = 1


class Compression(Protocol):
    """How the content of a file is stored."""

    def pack(self, data: bytes) -> bytes:
        """One piece."""

    def whole_length(self, file: BinaryIO) -> int:
        """Up to where the content of `file` is made of whole pieces."""


class Plain:
    """As it is; a piece is a line."""

    def pack(self, data: bytes) -> bytes:
        return data

    def whole_length(self, file: BinaryIO) -> int:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _CHUNK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0


class Gzip:
    """Members of gzip, `level` 1 (fast) to 9 (small)."""

    def __init__(self, level: int) -> None:
        self._level = level

    def pack(self, data: bytes) -> bytes:
        return gzip.compress(data, self._level)

    def whole_length(self, file: BinaryIO) -> int:
        whole = position = 0
        member = zlib.decompressobj(_GZIP_WINDOW)
        while chunk := file.read(_CHUNK):
            while chunk:
                try:
                    member.decompress(chunk)
                except zlib.error:
                    return whole
                rest = member.unused_data
                position += len(chunk) - len(rest)
                if member.eof:
                    whole = position
                    member = zlib.decompressobj(_GZIP_WINDOW)
                chunk = rest
        return whole


class Zstd:
    """Frames of zstd, `level` 1 (fast) to 22 (small). Raises SinkUnusable when the library is missing."""

    def __init__(self, level: int) -> None:
        try:
            self._zstd = importlib.import_module("cramjam").zstd
        except ImportError as error:
            raise SinkUnusable(
                "compression 'zstd' needs a library: pip install 'nsqgw[compression]'"
            ) from error
        self._level = level

    def pack(self, data: bytes) -> bytes:
        return bytes(self._zstd.compress(data, self._level))

    def whole_length(self, file: BinaryIO) -> int:
        size = file.seek(0, os.SEEK_END)
        whole = 0
        while (end := _frame_end(file, whole)) is not None and end <= size:
            whole = end
        return whole


def _frame_end(file: BinaryIO, start: int) -> int | None:
    """Where the zstd frame that begins at `start` ends (RFC 8878, 3.1.1); None when that cannot be told."""
    file.seek(start)
    head = file.read(5)
    if len(head) < 5 or head[:4] != _ZSTD_MAGIC:
        return None
    descriptor = head[4]
    single_segment = bool(descriptor & 0x20)
    position = start + 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3]
    position += (int(single_segment), 2, 4, 8)[descriptor >> 6]
    last = False
    while not last:
        file.seek(position)
        block = int.from_bytes(header := file.read(3), "little")
        if len(header) < 3:
            return None
        last = bool(block & 1)
        position += 3 + (1 if block >> 1 & 3 == _RLE_BLOCK else block >> 3)
    return position + (4 if descriptor & 4 else 0)


SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
"""The kinds of compression, and what the names of such files end with."""


def compression_of(kind: str, level: int | None) -> Compression:
    """One of SUFFIXES; `level` None is the format's usual one. Raises SinkUnusable."""
    if kind == "gzip":
        return Gzip(6 if level is None else level)
    if kind == "zstd":
        return Zstd(3 if level is None else level)
    return Plain()
