"""A client that does nothing by itself: bytes out, frames in, for checks that are exact to the byte.

It shares no code with nsqgw on purpose: what judges the wire must not be built on what it judges.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from types import TracebackType
from typing import Any, NamedTuple

RESPONSE, ERROR, MESSAGE = 0, 1, 2
HEARTBEAT = (RESPONSE, b"_heartbeat_")


class Frame(NamedTuple):
    type: int
    data: bytes


class Delivery(NamedTuple):
    timestamp: int
    attempts: int
    id: bytes
    body: bytes


def delivery(frame: Frame) -> Delivery:
    """What a message frame holds; AssertionError for another one."""
    assert frame.type == MESSAGE, frame
    return Delivery(*struct.unpack(">qH16s", frame.data[:26]), frame.data[26:])


class Closed(Exception):
    """The server ended the connection."""


def sized(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def mpub_body(*bodies: bytes) -> bytes:
    """What follows the command line of MPUB, and without its first four bytes a binary /mpub body."""
    batch = struct.pack(">i", len(bodies)) + b"".join(map(sized, bodies))
    return sized(batch)


class Socket:
    """A blocking TCP connection to `host:port` with a deadline on every read."""

    def __init__(self, address: str, timeout: float = 15.0) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes; Closed when the server ends the connection before."""
        data = b""
        while len(data) < size:
            try:
                chunk = self.socket.recv(size - len(data))
            except ConnectionError as error:
                raise Closed(f"reset after {data!r}") from error
            if not chunk:
                raise Closed(f"end of stream after {data!r}")
            data += chunk
        return data

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing arrives, not even the end of the stream, for `seconds`."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(self.timeout)
        return False

    def remainder(self) -> bytes:
        """What still arrives until the server ends the connection; TimeoutError when it does not end it."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while chunk := self.socket.recv(65536):
                data += chunk
        return data

    def is_closed(self) -> bool:
        """Whether the server ends the connection without another byte."""
        return self.remainder() == b""

    def close(self) -> None:
        self.socket.close()


class Wire(Socket):
    """A connection to nsqd."""

    def __init__(self, address: str, magic: bytes = b"  V2", timeout: float = 15.0) -> None:
        super().__init__(address, timeout)
        self.send(magic)

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def frame(self, heartbeats: bool = False) -> Frame:
        """The next frame; heartbeats are passed over, answered, unless asked for."""
        while True:
            size, frame_type = struct.unpack(">ii", self.exactly(8))
            frame = Frame(frame_type, self.exactly(size - 4))
            if heartbeats or frame != HEARTBEAT:
                return frame
            self.send(b"NOP\n")

    def ask(self, command: bytes, body: bytes | None = None) -> Frame:
        """Sends a command line (no line end) with its body, and gives the next frame."""
        self.send(command + b"\n" + (b"" if body is None else sized(body)))
        return self.frame()

    def identify(self, **document: Any) -> Frame:
        return self.ask(b"IDENTIFY", json.dumps(document).encode())

    def negotiate(self, **document: Any) -> dict[str, Any]:
        """IDENTIFY with feature negotiation; the server's JSON answer."""
        frame = self.identify(feature_negotiation=True, **document)
        assert frame.type == RESPONSE, frame
        answer: dict[str, Any] = json.loads(frame.data)
        return answer

    def ok(self, command: bytes, body: bytes | None = None) -> None:
        assert self.ask(command, body) == (RESPONSE, b"OK")

    def subscribe(self, topic: str, channel: str, rdy: int = 0) -> None:
        self.ok(f"SUB {topic} {channel}".encode())
        if rdy:
            self.send(b"RDY %d\n" % rdy)

    def message(self) -> Delivery:
        return delivery(self.frame())

    def finish(self, message_id: bytes) -> None:
        self.send(b"FIN " + message_id + b"\n")

    def error(self) -> str:
        frame = self.frame()
        assert frame.type == ERROR, frame
        return frame.data.decode()


class LookupWire(Socket):
    """A connection to nsqlookupd: answers have a size and no type."""

    def __init__(self, address: str, magic: bytes = b"  V1", timeout: float = 15.0) -> None:
        super().__init__(address, timeout)
        self.send(magic)

    def __enter__(self) -> LookupWire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def answer(self) -> bytes:
        (size,) = struct.unpack(">i", self.exactly(4))
        return self.exactly(size)

    def ask(self, command: str, body: bytes | None = None) -> bytes:
        self.send(command.encode() + b"\n" + (b"" if body is None else sized(body)))
        return self.answer()

    def identify(self, **changes: Any) -> dict[str, Any]:
        """IDENTIFY as an nsqd of these ports does; a key given as None is left out."""
        document = {
            "broadcast_address": "node.example",
            "tcp_port": 4150,
            "http_port": 4151,
            "version": "1.3.0",
        }
        document |= {"hostname": "node"} | changes
        body = json.dumps({key: value for key, value in document.items() if value is not None})
        answer: dict[str, Any] = json.loads(self.ask("IDENTIFY", body.encode()))
        return answer
