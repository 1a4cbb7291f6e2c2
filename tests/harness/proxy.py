"""A TCP proxy in the test's own loop that does to connections what networks do: see `Proxy` and `Link`.

It copies bytes and knows no NSQ, so a fault strikes wherever in a frame it happens to. Nothing is ever
altered, repeated or reordered within a direction: TCP does not do that either.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from types import TracebackType

CHUNK = 16 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Direction:
    """One way of a link. What is set here holds for the bytes that come from now on.

    delay     seconds each chunk is held back
    rate      bytes a second that get through
    break_at  so many bytes get through, then `broken` is called
    passed    bytes that got through so far
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.delay = 0.0
        self.rate: int | None = None
        self.break_at: int | None = None
        self.broken: Callable[[], None] = lambda: None
        self.passed = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._ended = False
        self._reader = reader
        self._writer = writer

    def stall(self) -> None:
        """Let nothing through any more; both sides stay connected and find their buffers filling up."""
        self._flowing.clear()

    def flow(self) -> None:
        """Undo `stall`."""
        self._flowing.set()

    def end(self) -> None:
        """Half-close: the receiver sees the end of the stream, the other direction goes on."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    async def copy(self) -> None:
        """Until the sender's end of stream, which is passed on; bytes behind our own `end` are dropped."""
        with contextlib.suppress(OSError):
            while data := await self._reader.read(CHUNK if self.rate is None else max(1, self.rate // 20)):
                await self._hold_up(len(data))
                if self.break_at is not None and self.passed + len(data) >= self.break_at:
                    await self._pass(data[: self.break_at - self.passed])
                    self.broken()
                    return
                await self._pass(data)
            self.end()

    async def _hold_up(self, size: int) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.rate is not None:
            await asyncio.sleep(size / self.rate)
        await self._flowing.wait()

    async def _pass(self, data: bytes) -> None:
        if self._ended:
            return
        self._writer.write(data)
        self.passed += len(data)
        await self._writer.drain()


class Link:
    """One connection through the proxy: `up` leads from the client to the server, `down` back."""

    def __init__(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.up = Direction(near[0], far[1])
        self.down = Direction(far[0], near[1])
        self._writers = (near[1], far[1])

    def cut(self) -> None:
        """End both connections in good order, for TCP: what was passed on still arrives."""
        for writer in self._writers:
            writer.close()

    def reset(self) -> None:
        """End both connections with a reset; what is on the way is lost."""
        for writer in self._writers:
            if not writer.transport.is_closing():
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE
                )
                writer.transport.abort()

    async def serve(self) -> None:
        """Copy both ways until both are at their end or the link is cut."""
        try:
            await asyncio.gather(self.up.copy(), self.down.copy())
        finally:
            self.cut()


class Proxy:
    """`async with Proxy(target) as proxy`: connect to `proxy.address`.

    links      the living connections, oldest first
    accepted   how many there have been
    on_link    called with each new link before its first byte: the place to set up a fault
    hold       seconds the so-manieth connection (from 0) is accepted without being connected any further, so
               that a later one may be served first; a link that the client gave up meanwhile never is
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.address = "127.0.0.1:0"
        self.links: list[Link] = []
        self.accepted = 0
        self.on_link: Callable[[Link], None] = lambda link: None
        self.hold: Callable[[int], float] = lambda number: 0.0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Cut every link."""
        for link in list(self.links):
            link.cut()

    def reset(self) -> None:
        """Reset every link."""
        for link in list(self.links):
            link.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number, self.accepted = self.accepted, self.accepted + 1
        with contextlib.suppress(OSError, asyncio.CancelledError):  # the latter by our own end
            try:
                await asyncio.sleep(self.hold(number))
                await self._connect(reader, writer)
            finally:
                writer.close()
        self._tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self.target.rsplit(":", 1)
        await self._relay((reader, writer), await asyncio.open_connection(host, int(port), limit=CHUNK))

    async def _relay(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        link = Link(near, far)
        self.links.append(link)
        self.on_link(link)
        try:
            await link.serve()
        finally:
            self.links.remove(link)
