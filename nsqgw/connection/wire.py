"""The bytes of one connection to nsqd: awaited in the handshake, handed over as they come after it.

asyncio's transport carries it: it reads into our buffer and calls us in the same turn of the loop, where
tornado's IOStream has a future, a task's step and a copy between the two. That is what an answer costs which
somebody waits for.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from nsqgw.connection.stream import open_socket
from nsqgw.connection.tunnel import TlsTunnel

READ_SIZE = 128 * 1024
"""Bytes asked for at once: several hundred small messages a read, 128 KiB a connection."""


class WireClosed(Exception):
    """The connection is gone; the cause is `error` of the wire, None when the peer ended it in good order."""


async def open_wire(address: str, timeout: float) -> Wire:
    """A wire to `address`; ConnectionFailed when there is none within `timeout` seconds (`open_socket`)."""
    loop = asyncio.get_running_loop()
    connected = await open_socket(address, timeout)
    try:
        _, wire = await loop.create_connection(Wire, sock=connected)
    except BaseException:
        connected.close()
        raise
    return wire


class Wire(asyncio.BufferedProtocol):
    """One connection. Its owner reads in the handshake, calls `pump` after it, and ends it with `close`.

    closed  it has ended, or `close` was called
    error   why it has ended; None when the peer ended it, or we did
    """

    def __init__(self) -> None:
        self.closed = False
        self.error: Exception | None = None
        self._view = memoryview(bytearray(READ_SIZE))
        self._shut = False
        self._held = b""
        self._tunnel: TlsTunnel | None = None
        self._take: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[], None] = _nothing
        self._changed = asyncio.Event()
        self._lost = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    # -- for the owner

    async def read(self) -> bytes:
        """What comes next; WireClosed when nothing does. Not once `pump` was called."""
        while not self._held:
            if self.closed:
                raise WireClosed
            self._changed.clear()
            self._transport.resume_reading()
            await self._changed.wait()
        data, self._held = self._held, b""
        return data

    def pump(self, take: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """From now on `take` is called with each read, and `lost` at the end; neither raises."""
        self._take = take
        self._on_lost = lost
        if self._held:
            data, self._held = self._held, b""
            take(data)
        if self.closed:
            lost()
        self.resume()

    def pause(self) -> None:
        """Read no more until `resume`."""
        if not self.closed:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self.closed:
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send, unless it is too late; what the kernel does not take waits in memory."""
        if self.closed or self._shut:
            return
        if self._tunnel is not None:
            try:
                data = self._tunnel.encrypt(data)
            except ssl.SSLError as error:
                self._fail(error)
                return
        self._transport.write(data)

    async def encrypt(self, tunnel: TlsTunnel, received: bytes) -> None:
        """Speak TLS from here on; `received` is what has been read already of what the peer says after that.

        Raises SSLError when the handshake fails, WireClosed when the peer hangs up in the middle.
        """
        done = False
        while not done:
            try:
                done = tunnel.shake_hands(received)
            finally:
                self.write(tunnel.take_own())  # if it failed, the alert that says why
            received = b"" if done else await self.read()
        self._tunnel = tunnel
        self._hold(self._decrypt(b""))  # what came right behind the handshake

    async def wait_written(self) -> None:
        """Until the kernel has all that was written, or the connection is gone."""
        await self._writable.wait()

    def shut_down(self) -> None:
        """Tell the peer that no more comes, and send no more; OSError when it is gone."""
        self._shut = True
        self._transport.write_eof()

    async def wait_lost(self) -> None:
        """Until the connection is gone."""
        await self._lost.wait()

    def close(self) -> None:
        """End it now; what waits to be sent is given up."""
        if not self.closed:
            self.closed = True
            self._transport.abort()
            self._wake()

    # -- for asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # which uvloop's is not by class
        self._transport.set_write_buffer_limits(0)  # `wait_written` means all of it
        self.pause()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        if self.closed:
            return
        data = bytes(self._view[:nbytes])
        if self._tunnel is not None and not (data := self._decrypt(data)):
            return
        if self._take is not None:
            self._take(data)
        else:
            self._hold(data)

    def eof_received(self) -> None:
        self.close()  # asyncio would first send what waits, and perhaps never come to tell

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.error = self.error or exc
        self._lost.set()
        self._wake()
        self._on_lost()

    def _hold(self, data: bytes) -> None:
        self._held += data
        self.pause()  # nobody can be made to hold more than he asked for
        self._wake()

    def _decrypt(self, data: bytes) -> bytes:
        assert self._tunnel is not None
        try:
            plain = self._tunnel.decrypt(data)
        except ssl.SSLError as error:
            self._fail(error)
            return b""
        if (own := self._tunnel.take_own()) and not self._shut:
            self._transport.write(own)
        if self._tunnel.ended:
            self.close()
        return plain

    def _fail(self, error: Exception) -> None:
        self.error = error
        self.close()

    def _wake(self) -> None:
        self._changed.set()
        if self.closed:
            self._writable.set()


def _nothing() -> None:
    """Nobody has asked yet."""
