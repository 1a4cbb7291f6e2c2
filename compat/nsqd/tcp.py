"""One TCP connection of a client: reads in, writes out, heartbeats, deadlines.

A client that does not read is bounded twice: it gets no messages while its socket is full, and once it has
answers waiting it is not read either. After one heartbeat interval in that state it is cut off, as nsqd's
write deadline does (nsqd-tcp section 7).

nsqd holds messages back for up to `output_buffer_timeout`; here they leave at the end of the loop turn that
brought them, many in one write where there are many, so the time-out is never used up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, ClassVar, cast

from compat.nsqd.client import Client
from compat.nsqd.tls import HANDSHAKE_TIMEOUT
from nsqgw.errors import NSQError, ServerError
from nsqgw.protocol.server import Request
from nsqgw.service.settings import Address

if TYPE_CHECKING:
    from compat.nsqd.broker import Nsqd

logger = logging.getLogger(__name__)

LINGER = 1.0
"""How long a refused client may still send before the socket is closed, in seconds.

Closing at once would turn its unread bytes into a reset, and with that it could lose the error frame.
"""


class ClientConnection(asyncio.Protocol):
    """Carries bytes between a socket and a Client, and keeps the connection's times."""

    client_class: ClassVar[type[Client]] = Client

    def __init__(self, nsqd: Nsqd) -> None:
        self._nsqd = nsqd
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self._heartbeat_interval = 0.0
        self._last_command = self._loop.time()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._asking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        host, port = peer[:2] if isinstance(peer, tuple) else ("", 0)
        self.address = str(Address(host, port)) if host else "@"
        self.client = self.client_class(self._nsqd, host, self.address, self._flush, self.close)
        self._nsqd.joined(self)
        self._set_heartbeat(self.client.settings.heartbeat_interval)
        logger.info("TCP: new client(%s)", self.address)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        requests = self.client.protocol.receive_data(data)
        if requests:
            self._last_command = self._loop.time()
            if not self._carry_out(iter(requests)):
                return
        self._conclude()

    def eof_received(self) -> None:
        self.client.protocol.receive_eof()
        if (error := self.client.protocol.error) is not None and not self._ended:
            self._refuse(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._end()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._asking is None:
            self._nsqd.left(self)
        else:
            # Who waits for the connections to be gone waits for this task, too.
            self._asking.add_done_callback(lambda _: self._nsqd.left(self))
            self._asking.cancel()
        logger.info("PROTOCOL(V2): [%s] exiting ioloop", self.address)

    def pause_writing(self) -> None:
        self.client.set_blocked(True)
        if self._heartbeat_interval > 0:
            self._set_timer("write", self._heartbeat_interval, self._write_timed_out)

    def resume_writing(self) -> None:
        self._cancel_timer("write")
        if not self._ended:
            if self._asking is None:
                self._transport.resume_reading()
            self.client.set_blocked(False)

    def close(self) -> None:
        """End the connection once what is queued is written, or soon."""
        self._end()
        self._transport.close()
        self._set_timer("linger", LINGER, self._transport.abort)

    def abort(self) -> None:
        """End the connection at once."""
        self._end()
        self._transport.abort()

    def _end(self) -> None:
        """Nothing is handled any more and, whatever is still to be written, no message delivered."""
        self._ended = True
        self.client.leave()

    def _carry_out(self, requests: Iterator[Request]) -> bool:
        """Have commands handled; whether all of them are, and the connection goes on."""
        client = self.client
        identified = client.identified
        try:
            waiting = client.handle(requests)
        except ServerError as error:
            self._refuse(error)
            return False
        if client.identified and not identified:
            self._set_heartbeat(client.settings.heartbeat_interval)
            if client.protocol.upgrading:
                self._set_timer("upgrade", HANDSHAKE_TIMEOUT, self._upgrade_timed_out)
        if waiting is None:
            return True
        self._flush()
        self._transport.pause_reading()
        self._asking = self._loop.create_task(self._wait(waiting, requests))
        return False

    async def _wait(self, waiting: Awaitable[None], rest: Iterator[Request]) -> None:
        """Go on with `rest`, and with reading, when the auth server has answered, or the disk has it all."""
        try:
            await waiting
        except ServerError as error:
            if not self._ended:
                self._refuse(error)
            return
        self._asking = None
        if self._ended:
            return
        self._last_command = self._loop.time()
        if self._carry_out(rest):
            if not self.client.consumer.blocked:
                self._transport.resume_reading()
            self._conclude()

    def _conclude(self) -> None:
        """What was read is dealt with: answer it, or tell what was wrong with it."""
        error = self.client.protocol.error
        if error is not None:
            self._refuse(error)
        elif self.client.protocol.ended:
            self._flush()
            self.close()
        elif self._flush() and self.client.consumer.blocked:
            self._transport.pause_reading()

    def _flush(self) -> bool:
        """Write what is queued; whether there was something."""
        if self.client.unconfirmed is not None:
            return False
        data = self.client.protocol.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
        return bool(data)

    def _refuse(self, error: NSQError) -> None:
        """Tell the client why, when there is something to tell, and close."""
        # What the client sent stands in the text, even if it is no UTF-8.
        text = str(error).encode("utf-8", "backslashreplace").decode()
        logger.error("[%s] - %s", self.address, text)
        self._end()
        if not isinstance(error, ServerError):
            self._flush()
            self._transport.close()
            return
        self.client.protocol.send_error(error)
        self._flush()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._set_timer("linger", LINGER, self._transport.abort)

    def _set_heartbeat(self, interval: float) -> None:
        self._heartbeat_interval = interval
        for name in ("heartbeat", "read"):
            self._cancel_timer(name)
        if interval > 0:
            self._set_timer("heartbeat", interval, self._beat)
            self._set_timer("read", 2 * interval, self._read_timed_out)

    def _beat(self) -> None:
        if self._ended:
            return
        self.client.protocol.send_heartbeat()
        self._flush()
        self._set_timer("heartbeat", self._heartbeat_interval, self._beat)

    def _read_timed_out(self) -> None:
        """No command for two heartbeat intervals; inside a body the client is told (nsqd-tcp section 3)."""
        if self._ended:
            return
        if self._asking is not None:
            self._last_command = self._loop.time()  # it is not the client that keeps us waiting
        left = self._last_command + 2 * self._heartbeat_interval - self._loop.time()
        if left > 0:
            self._set_timer("read", left, self._read_timed_out)
            return
        self.client.protocol.receive_eof()
        logger.warning("[%s] no command for two heartbeat intervals", self.address)
        if (error := self.client.protocol.error) is not None:
            self._refuse(error)
        else:
            self.close()

    def _upgrade_timed_out(self) -> None:
        protocol = self.client.protocol
        if not self._ended and protocol.upgrading:
            protocol.upgrade_timed_out()
            self._conclude()

    def _write_timed_out(self) -> None:
        logger.error("[%s] does not read: nothing could be written for a heartbeat interval", self.address)
        self.abort()

    def _set_timer(self, name: str, delay: float, callback: Callable[[], object]) -> None:
        self._cancel_timer(name)
        self._timers[name] = self._loop.call_later(delay, callback)

    def _cancel_timer(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()
