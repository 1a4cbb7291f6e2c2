"""Snappy's block format, as Loki's protobuf wants it: by cramjam, or without it uncompressed but in form."""

from __future__ import annotations

import importlib
from collections.abc import Callable

_LITERAL = 1 << 16  # bytes of a literal, whose length then takes two bytes


def block_packer() -> Callable[[bytes], bytes]:
    """Compresses with the extra `compression`; else wraps."""
    try:
        cramjam = importlib.import_module("cramjam")
    except ImportError:
        return wrapped
    return lambda data: bytes(cramjam.snappy.compress_raw(data))


def wrapped(data: bytes) -> bytes:
    """A block of literals: its length in base 128, then each literal behind its tag and length."""
    parts = [_base128(len(data))]
    for start in range(0, len(data), _LITERAL):
        piece = data[start : start + _LITERAL]
        size = len(piece) - 1
        parts += bytes([size << 2]) if size < 60 else bytes([61 << 2]) + size.to_bytes(2, "little"), piece
    return b"".join(parts)


def _base128(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
