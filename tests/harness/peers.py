"""Servers that are no nsqd, or a broken one: what a client must survive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

Conduct = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ENDLESS = 256 * 1024 * 1024
"""Bytes a flooding peer tries to send before it gives up, so that no test runs away."""


def frame(kind: int, data: bytes) -> bytes:
    return struct.pack(">ii", 4 + len(data), kind) + data


@contextlib.asynccontextmanager
async def serving(conduct: Conduct) -> AsyncIterator[str]:
    """A server on a free port whose connections behave like `conduct`; gives its `host:port`."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await conduct(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def read_command(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """A command line and, for the commands that have one, its body."""
    line = (await reader.readline()).decode().rstrip("\n")
    name = line.partition(" ")[0]
    if name not in ("IDENTIFY", "AUTH", "PUB", "DPUB", "MPUB"):
        return line, b""
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return line, await reader.readexactly(size)


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What nsqd does up to the end of IDENTIFY."""
    assert await reader.readexactly(4) == b"  V2"
    await read_command(reader)
    answer = {"max_rdy_count": 2500, "version": "1.3.0", "max_msg_timeout": 900000, "msg_timeout": 60000}
    writer.write(frame(0, json.dumps(answer).encode()))


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP server takes the first bytes for a bad request."""
    await reader.read(4)
    writer.write(
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request"
    )
    await writer.drain()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A frame of a type there is none of, and then noise."""
    await reader.read(4)
    writer.write(frame(77, b"?") + bytes(range(256)) * 100)
    await reader.read()


async def garbage_after_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begins well."""
    await shake_hands(reader, writer)
    await read_command(reader)
    writer.write(frame(0, b"OK") + b"\xff" * 1000)
    await reader.read()


async def short_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A message frame too short to hold an id."""
    await shake_hands(reader, writer)
    await read_command(reader)
    writer.write(frame(0, b"OK") + frame(2, b"short"))
    await reader.read()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, reads, and never says a word."""
    while await reader.read(65536):
        pass


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes at once."""


class Flood:
    """Announces a frame of 2 GiB less one byte and sends as much of it as the client takes."""

    def __init__(self, after_handshake: bool) -> None:
        self.after_handshake = after_handshake
        self.sent = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.after_handshake:
            await shake_hands(reader, writer)
            await read_command(reader)
            writer.write(frame(0, b"OK"))
        writer.write(struct.pack(">ii", 2**31 - 1, 2))
        chunk = b"\0" * 65536
        while self.sent < ENDLESS:
            writer.write(chunk)
            await writer.drain()
            self.sent += len(chunk)
