"""The little of Protocol Buffers' wire format that log records and the answers to them need."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


def varint(number: int, value: int) -> bytes:
    """Field `number` with a whole number; negative ones as 64-bit two's complement."""
    return _tag(number, _VARINT) + _base128(value & 0xFFFF_FFFF_FFFF_FFFF)


def fixed64(number: int, value: int) -> bytes:
    """The same with a fixed width of 8 bytes."""
    return _tag(number, _FIXED64) + struct.pack("<Q", value)


def double(number: int, value: float) -> bytes:
    """A floating-point number."""
    return _tag(number, _FIXED64) + struct.pack("<d", value)


def nested(number: int, *content: bytes) -> bytes:
    """Bytes, or a message that is encoded already."""
    size = sum(map(len, content))
    return b"".join((_tag(number, _BYTES), _base128(size), *content))


def text(number: int, value: str) -> bytes:
    """A string; halves of surrogate pairs, which UTF-8 has no room for, become question marks."""
    return nested(number, value.encode("utf-8", "replace"))


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message by number: whole numbers, or the bytes of anything else. Raises ValueError."""
    at = 0
    while at < len(data):
        key, at = _read_base128(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _read_base128(data, at)
            yield key >> 3, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if size is None:
            if kind != _BYTES:
                raise ValueError(f"wire type {kind} is not known")
            size, at = _read_base128(data, at)
        if at + size > len(data):
            raise ValueError("a field is cut short")
        yield key >> 3, data[at : at + size]
        at += size


def _read_base128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number, byte in enumerate(data[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            return value, at + number + 1
    raise ValueError("a number is cut short")


def _tag(number: int, kind: int) -> bytes:
    return _base128(number << 3 | kind)


def _base128(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
