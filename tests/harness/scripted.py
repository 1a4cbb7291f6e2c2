"""A fake nsqd that does what a test says: every command is recorded, every answer can be replaced.

By default it shakes hands, confirms SUB, PUB, MPUB and DPUB, answers CLS, hangs up when the client does, and
sends nothing else. It shares no parser with the client under test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol

from harness.polling import eventually_async

Answer = bytes | None | Callable[["Session", str], bytes | None]
"""Bytes to send, None for silence, or a function of the session and the command line."""

FEATURES: dict[str, Any] = {
    "max_rdy_count": 2500,
    "version": "1.3.0",
    "max_msg_timeout": 900_000,
    "msg_timeout": 60_000,
    "tls_v1": False,
    "deflate": False,
    "deflate_level": 6,
    "snappy": False,
    "sample_rate": 0,
    "auth_required": False,
    "output_buffer_size": 16384,
    "output_buffer_timeout": 250,
    "topology_region": "",
    "topology_zone": "",
}


class Layer(Protocol):
    """A compression the server speaks."""

    def compress(self, data: bytes) -> bytes: ...

    def decompress(self, data: bytes) -> Iterable[bytes]: ...


def frame(kind: int, data: bytes) -> bytes:
    return struct.pack(">ii", 4 + len(data), kind) + data


def response(data: bytes) -> bytes:
    return frame(0, data)


def error(text: str) -> bytes:
    return frame(1, text.encode())


def message(number: int, body: bytes = b"body", attempts: int = 1) -> bytes:
    return frame(
        2, struct.pack(">qH16s", 1_700_000_000_000_000_000 + number, attempts, message_id(number)) + body
    )


def message_id(number: int) -> bytes:
    return b"%016x" % number


OK = response(b"OK")
HEARTBEAT = response(b"_heartbeat_")
WITH_BODY = frozenset({"IDENTIFY", "AUTH", "PUB", "DPUB", "MPUB"})


class Session:
    """One connection of a client: `commands` are the lines received, `bodies` what came with some of them."""

    def __init__(
        self, server: ScriptedNsqd, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.commands: list[str] = []
        self.bodies: list[bytes] = []
        self.magic = b""
        self.ended = False
        self.layer: Layer | None = None
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()
        self._reading = asyncio.Event()
        self._reading.set()

    # -- what arrived

    def lines(self, name: str) -> list[str]:
        """The commands of this name, in order."""
        return [line for line in self.commands if line.split(" ")[0] == name]

    @property
    def rdy(self) -> int | None:
        """The latest RDY, None before the first."""
        lines = self.lines("RDY")
        return int(lines[-1].split(" ")[1]) if lines else None

    def ids(self, name: str) -> list[int]:
        """The numbers of the messages that FIN, REQ or TOUCH were sent for."""
        return [int(line.split(" ")[1], 16) for line in self.lines(name)]

    async def seen(self, line: str, times: int = 1) -> None:
        """Until the command has arrived so often."""
        await eventually_async(
            lambda: self.commands.count(line) >= times, what=f"{line!r} x {times} in {self.commands}"
        )

    async def received(self, name: str, count: int = 1) -> list[str]:
        """Until so many commands of this name have arrived."""
        await eventually_async(
            lambda: len(self.lines(name)) >= count, what=f"{count} x {name} in {self.commands}"
        )
        return self.lines(name)

    async def end(self) -> None:
        """Until the client has closed its side."""
        await eventually_async(lambda: self.ended, what="the client closes the connection")

    # -- what to send

    def send(self, data: bytes) -> None:
        if self._writer.transport.is_closing():
            return
        self._writer.write(data if self.layer is None else self.layer.compress(data))

    def send_raw(self, data: bytes) -> None:
        """Bytes below the compression."""
        self._writer.write(data)

    def deliver(self, *numbers: int, body: bytes = b"body", attempts: int = 1) -> None:
        self.send(b"".join(message(number, body, attempts) for number in numbers))

    def drop(self) -> None:
        """End the connection with a reset."""
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection in good order."""
        self._writer.close()

    def stop_reading(self) -> None:
        """Leave what the client sends in its buffers."""
        self._reading.clear()

    # -- the dialogue

    async def serve(self) -> None:
        try:
            self.magic = await self._reader.readexactly(4)
            while True:
                await self._reading.wait()
                line = await self._line()
                body = await self._sized() if line.split(" ")[0] in WITH_BODY else None
                if body is not None:
                    self.bodies.append(body)
                self.commands.append(line)
                self.server.journal.append((self.server, line))
                self._answer(line)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended = True
        finally:
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    def _answer(self, line: str) -> None:
        name = line.split(" ")[0]
        answer = self.server.answers.get(name)
        data = answer(self, line) if callable(answer) else answer
        if data is not None:
            self.send(data)
        if name == "IDENTIFY":
            self.layer = self.server.layer

    async def _line(self) -> str:
        while (end := self._buffer.find(b"\n")) < 0:
            await self._more()
        line = self._buffer[:end].decode()
        del self._buffer[: end + 1]
        return line

    async def _sized(self) -> bytes:
        while len(self._buffer) < 4 or len(self._buffer) < 4 + int.from_bytes(self._buffer[:4], "big"):
            await self._more()
        size = int.from_bytes(self._buffer[:4], "big")
        body = bytes(self._buffer[4 : 4 + size])
        del self._buffer[: 4 + size]
        return body

    async def _more(self) -> None:
        data = await self._reader.read(65536)
        if not data:
            raise asyncio.IncompleteReadError(bytes(self._buffer), None)
        for piece in (data,) if self.layer is None else self.layer.decompress(data):
            self._buffer += piece


class ScriptedNsqd:
    """`answers` replaces answers by command name; `features` changes the answer to IDENTIFY.

    `layer` is a compression that begins right behind the answer to IDENTIFY, with an OK inside.
    `journal`, shared by several, shows the order of their commands.
    """

    def __init__(
        self,
        *,
        answers: dict[str, Answer] | None = None,
        layer: Callable[[], Layer] | None = None,
        journal: list[tuple[ScriptedNsqd, str]] | None = None,
        **features: Any,
    ) -> None:
        self.features = FEATURES | features
        self.answers: dict[str, Answer] = {
            "IDENTIFY": lambda session, line: response(json.dumps(self.features).encode()),
            "AUTH": response(b'{"identity":"","identity_url":"","permission_count":1}'),
            "CLS": response(b"CLOSE_WAIT"),
        }
        self.answers |= dict.fromkeys(("SUB", "PUB", "MPUB", "DPUB"), OK) | (answers or {})
        self.journal = [] if journal is None else journal
        self.sessions: list[Session] = []
        self.address = "127.0.0.1:0"
        self._make_layer = layer
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def layer(self) -> Layer | None:
        return None if self._make_layer is None else self._make_layer()

    async def start(self) -> None:
        """Listen; after a `stop` on the same port again."""
        host, port = self.address.rsplit(":", 1)
        self._server = await asyncio.start_server(self._accept, host, int(port))
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname()[:2])

    async def stop(self) -> None:
        """Stop listening and reset all connections."""
        assert self._server is not None
        self._server.close()
        for session in self.sessions:
            session.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> ScriptedNsqd:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def session(self, number: int = 0) -> Session:
        """The so-manieth connection, as soon as it is there."""
        await eventually_async(lambda: len(self.sessions) > number, what=f"connection {number}")
        return self.sessions[number]

    async def subscribed(self, number: int = 0) -> Session:
        """The same, as soon as it has sent its first RDY."""
        session = await self.session(number)
        await session.received("RDY")
        return session

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer)
        self.sessions.append(session)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):  # by `stop`
            await session.serve()
        self._tasks.discard(task)


QUICK: dict[str, Any] = {"reconnect_min_delay": 0.01, "reconnect_max_delay": 0.05}
"""Options of a consumer or producer under test: it tries again at once."""
