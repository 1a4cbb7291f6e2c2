"""Clients for scenes with the nsqd of the fixtures: raw ones, which do only what the scene says."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from compat.testing import EmbeddedNsqd, NsqdUnderTest

MESSAGE = 2


class RawClient:
    """A blocking connection to nsqd; answers to heartbeats only when it is told to."""

    def __init__(self, address: str) -> None:
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.socket.sendall(b"  V2")
        self._file = self.socket.makefile("rb")

    def send(self, *commands: bytes) -> None:
        self.socket.sendall(b"".join(commands))

    def publish(self, topic: bytes, body: bytes) -> None:
        self.send(b"PUB " + topic + b"\n" + struct.pack(">i", len(body)) + body)

    def subscribe(self, topic: bytes = b"orders", channel: bytes = b"billing", rdy: int = 10) -> None:
        self.send(b"SUB " + topic + b" " + channel + b"\n", b"RDY %d\n" % rdy)
        assert self.read() == b"OK"

    def read(self) -> bytes:
        """The next frame's data, of a message its body; empty at the end of the connection."""
        return self.read_message()[2]

    def read_message(self) -> tuple[bytes, int, bytes]:
        """Id, attempts and body of the next frame; id and attempts only of a message."""
        head = self._file.read(8)
        if not head:
            return b"", 0, b""
        size, kind = struct.unpack(">ii", head)
        data = self._file.read(size - 4)
        if kind != MESSAGE:
            return b"", 0, data
        return data[10:26], int.from_bytes(data[8:10], "big"), data[26:]

    def finish(self, message_id: bytes) -> None:
        self.send(b"FIN " + message_id + b"\n")

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def watched() -> Iterator[NsqdUnderTest]:
    """An nsqd as the fixture `nsqd` gives it."""
    daemon = EmbeddedNsqd()
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def connect_to() -> Iterator[Callable[[NsqdUnderTest], RawClient]]:
    """Makes raw clients of any nsqd."""
    with ExitStack() as open_clients:

        def new(nsqd: NsqdUnderTest) -> RawClient:
            client = RawClient(nsqd.tcp_address)
            open_clients.callback(client.close)
            return client

        yield new


@pytest.fixture
def connect(
    watched: NsqdUnderTest, connect_to: Callable[[NsqdUnderTest], RawClient]
) -> Callable[[], RawClient]:
    """Makes raw clients of `watched`."""
    return lambda: connect_to(watched)
