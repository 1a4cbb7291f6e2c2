"""Commands, client to nsqd (nsqd-tcp sections 3 and 8), as values and as bytes.

The values are what the server's command reader yields and what tests compare; the `encode_*`
functions are what the client's hot paths call. Names are checked by the caller, once, not per command.

FIN and PUB, of which there are as many as messages, are runs: what stood next to each other in one read is
one value, so that everything behind the reader pays per read and not per message.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_SIZE = struct.Struct(">i")
_SIZE_AND_COUNT = struct.Struct(">ii")

NOP = b"NOP\n"
CLS = b"CLS\n"

MPUB_OVERHEAD = 8
"""Bytes by which the body of an MPUB of one message is larger than that: its count, and the size."""


_MAX_PREFIXES = 4096


class _SizePrefixes(dict[int, bytes]):
    """The four bytes before a body, by its length: lengths repeat, and a look-up costs half of packing."""

    def __missing__(self, size: int) -> bytes:
        if len(self) >= _MAX_PREFIXES:
            self.clear()
        prefix = self[size] = _SIZE.pack(size)
        return prefix


size_prefix = _SizePrefixes().__getitem__
"""The int32 that goes before a body of this length; struct.error for one that has no room in it."""


def encode_sized(body: bytes) -> bytes:
    """A body as every command carries it: int32 length, then the bytes."""
    return _SIZE.pack(len(body)) + body


def encode_identify(document: bytes) -> bytes:
    """IDENTIFY with its JSON document."""
    return b"IDENTIFY\n" + encode_sized(document)


def encode_auth(secret: bytes) -> bytes:
    """AUTH with its secret."""
    return b"AUTH\n" + encode_sized(secret)


def encode_sub(topic: str, channel: str) -> bytes:
    """SUB: this connection becomes a consumer of the channel."""
    return f"SUB {topic} {channel}\n".encode("ascii")


def encode_rdy(count: int) -> bytes:
    """RDY: the ceiling of messages in flight on this connection, not a number to count down."""
    return b"RDY %d\n" % count


def encode_fin(message_id: bytes) -> bytes:
    """FIN of one message."""
    return b"FIN " + message_id + b"\n"


def encode_fins(message_ids: Sequence[bytes]) -> bytes:
    """FIN of many messages as one write; `message_ids` must not be empty."""
    return b"FIN " + b"\nFIN ".join(message_ids) + b"\n"


def encode_req(message_id: bytes, delay_ms: int) -> bytes:
    """REQ: give the message back, to come again after `delay_ms` milliseconds (0: at once)."""
    return b"REQ %s %d\n" % (message_id, delay_ms)


def encode_touch(message_id: bytes) -> bytes:
    """TOUCH: restart the message's time-out."""
    return b"TOUCH " + message_id + b"\n"


def encode_pub(topic: str, body: bytes) -> bytes:
    """PUB of one message."""
    return b"PUB %s\n%s%s" % (topic.encode("ascii"), _SIZE.pack(len(body)), body)


def encode_dpub(topic: str, delay_ms: int, body: bytes) -> bytes:
    """DPUB: publish, to be delivered after `delay_ms` milliseconds."""
    return b"DPUB %s %d\n%s%s" % (topic.encode("ascii"), delay_ms, _SIZE.pack(len(body)), body)


def encode_mpub(topic: str, bodies: Sequence[bytes], lengths: Sequence[int] | None = None) -> bytes:
    """MPUB of a batch: nsqd looks at all before it takes any (nsqd-tcp 8.8).

    Only where storing fails, E_MPUB_FAILED, the first ones may be stored. `lengths` are those of the bodies,
    for a caller who has them already.
    """
    lengths = list(map(len, bodies)) if lengths is None else lengths
    head = _SIZE_AND_COUNT.pack(4 + 4 * len(lengths) + sum(lengths), len(lengths))
    pieces = [b"MPUB %s\n%s" % (topic.encode("ascii"), head)] * (1 + 2 * len(lengths))
    pieces[1::2] = map(size_prefix, lengths)
    pieces[2::2] = bodies
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Identify:
    """IDENTIFY; `document` is the JSON as sent."""

    document: bytes

    def encode(self) -> bytes:
        return encode_identify(self.document)


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH with the secret for the auth server."""

    secret: bytes

    def encode(self) -> bytes:
        return encode_auth(self.secret)


@dataclass(frozen=True, slots=True)
class Sub:
    """SUB to a channel of a topic."""

    topic: str
    channel: str

    def encode(self) -> bytes:
        return encode_sub(self.topic, self.channel)


@dataclass(frozen=True, slots=True)
class Rdy:
    """RDY with the new ceiling of messages in flight."""

    count: int

    def encode(self) -> bytes:
        return encode_rdy(self.count)


@dataclass(frozen=True, slots=True)
class Fins:
    """FINs of one or more messages in a row."""

    message_ids: list[bytes]

    def encode(self) -> bytes:
        return encode_fins(self.message_ids)


@dataclass(frozen=True, slots=True)
class Req:
    """REQ of a message with a delay in milliseconds."""

    message_id: bytes
    delay_ms: int

    def encode(self) -> bytes:
        return encode_req(self.message_id, self.delay_ms)


@dataclass(frozen=True, slots=True)
class Touch:
    """TOUCH of a message."""

    message_id: bytes

    def encode(self) -> bytes:
        return encode_touch(self.message_id)


@dataclass(frozen=True, slots=True)
class Cls:
    """CLS: no more messages, please; answers may follow."""

    def encode(self) -> bytes:
        return CLS


@dataclass(frozen=True, slots=True)
class Nop:
    """NOP: I am alive."""

    def encode(self) -> bytes:
        return NOP


@dataclass(frozen=True, slots=True)
class Pubs:
    """PUBs of one or more messages in a row to one topic."""

    topic: str
    bodies: list[bytes]

    def encode(self) -> bytes:
        return b"".join(encode_pub(self.topic, body) for body in self.bodies)


@dataclass(frozen=True, slots=True)
class Dpub:
    """DPUB of one message with a delay in milliseconds."""

    topic: str
    delay_ms: int
    body: bytes

    def encode(self) -> bytes:
        return encode_dpub(self.topic, self.delay_ms, self.body)


@dataclass(frozen=True, slots=True)
class Mpub:
    """MPUB of a batch."""

    topic: str
    bodies: tuple[bytes, ...]

    def encode(self) -> bytes:
        return encode_mpub(self.topic, self.bodies)


Command = Identify | Auth | Sub | Rdy | Fins | Req | Touch | Cls | Nop | Pubs | Dpub | Mpub
