"""nsqlookupd's TCP dialogue as nsqd speaks it (nsqlookupd sections 2 to 4): commands out, responses in.

Responses have a length and no frame type; an error is known only by its text. The other side is in
lookup_server.py.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass

from nsqgw.errors import FrameTooBig, ProtocolError, ServerError, server_error
from nsqgw.protocol.commands import encode_sized
from nsqgw.protocol.frames import MAGIC_V1

MAX_RESPONSE = 1024 * 1024
"""Bytes; real responses are `OK` and a JSON document of some 100 bytes."""

_SIZE = struct.Struct(">i")


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What an nsqd says of itself in IDENTIFY; the ports are those others shall connect to."""

    broadcast_address: str
    tcp_port: int
    http_port: int
    version: str
    hostname: str = ""
    topology_zone: str = ""
    topology_region: str = ""


@dataclass(frozen=True, slots=True)
class DirectoryInfo:
    """What an nsqlookupd says of itself in the answer to IDENTIFY: where its HTTP API is."""

    broadcast_address: str
    http_port: int


@dataclass(frozen=True, slots=True)
class Ping:
    """PING: I am still there."""

    def encode(self) -> bytes:
        return b"PING\n"


@dataclass(frozen=True, slots=True)
class IdentifyNode:
    """IDENTIFY of an nsqd."""

    node: NodeInfo

    def encode(self) -> bytes:
        return b"IDENTIFY\n" + encode_sized(json.dumps(asdict(self.node), ensure_ascii=False).encode())


@dataclass(frozen=True, slots=True)
class Register:
    """REGISTER: I have this topic, or this channel of it."""

    topic: str
    channel: str | None = None

    def encode(self) -> bytes:
        return _line("REGISTER", self.topic, self.channel)


@dataclass(frozen=True, slots=True)
class Unregister:
    """UNREGISTER: I have this channel, or this topic with all its channels, no more."""

    topic: str
    channel: str | None = None

    def encode(self) -> bytes:
        return _line("UNREGISTER", self.topic, self.channel)


LookupCommand = Ping | IdentifyNode | Register | Unregister

MAGIC = MAGIC_V1


def _line(name: str, topic: str, channel: str | None) -> bytes:
    return f"{name} {topic} {channel}\n".encode() if channel else f"{name} {topic}\n".encode()


class ResponseReader:
    """Responses of an nsqlookupd from bytes, however they are cut.

    `read` raises FrameTooBig or ProtocolError when the peer cannot be an nsqlookupd; nothing more can be
    read then.
    """

    def __init__(self) -> None:
        self._pending = bytearray()

    def read(self, data: bytes) -> list[bytes]:
        """The responses that `data` completes."""
        self._pending += data
        responses: list[bytes] = []
        while len(self._pending) >= _SIZE.size:
            (size,) = _SIZE.unpack_from(self._pending)
            if size < 0:
                raise ProtocolError(f"a response of {size} bytes: this is no nsqlookupd")
            if size > MAX_RESPONSE:
                raise FrameTooBig(f"a response of {size} bytes, more than {MAX_RESPONSE}: no nsqlookupd's")
            end = _SIZE.size + size
            if len(self._pending) < end:
                break
            responses.append(bytes(self._pending[_SIZE.size : end]))
            del self._pending[:end]
        return responses


def parse_directory_info(response: bytes) -> DirectoryInfo:
    """The answer to IDENTIFY; ProtocolError when it makes no sense."""
    try:
        document = json.loads(response)
    except (ValueError, RecursionError):
        document = None
    info = document if isinstance(document, dict) else {}
    address, port = info.get("broadcast_address"), info.get("http_port")
    if not isinstance(address, str) or not isinstance(port, int):
        raise ProtocolError(f"the answer to IDENTIFY makes no sense: {response[:100]!r}")
    return DirectoryInfo(address, port)


def response_error(response: bytes) -> ServerError | None:
    """The error a response is, by its text; None when it is none."""
    return server_error(response) if response.startswith(b"E_") else None
