"""The TCP port: one connection of an nsqd, its commands carried out and answered in order.

There are no heartbeats and no read deadline, as in the original: a dead host is found by TCP's keep-alive.
An nsqd that does not read its answers is not read either, and cut off after a while.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from compat.go_durations import format_duration
from compat.nsqlookupd.registry import CLIENT, Peer, Registration
from nsqgw.errors import NSQError, ServerError
from nsqgw.protocol.commands import encode_sized
from nsqgw.protocol.frames import OK
from nsqgw.protocol.lookup import IdentifyNode, LookupCommand, Ping, Register
from nsqgw.protocol.lookup_server import LookupCommandReader
from nsqgw.service.settings import Address

if TYPE_CHECKING:
    from compat.nsqlookupd.daemon import Nsqlookupd

logger = logging.getLogger(__name__)

LINGER = 1.0
"""How long a refused peer may still send before the socket is closed, in seconds.

Closing at once would turn its unread bytes into a reset, and with that it could lose the error.
"""
WRITE_TIMEOUT = 10.0
"""How long answers may wait for a peer that does not read, in seconds."""


class PeerConnection(asyncio.Protocol):
    """Carries bytes between a socket and the registry."""

    def __init__(self, lookupd: Nsqlookupd) -> None:
        self._lookupd = lookupd
        self._reader = LookupCommandReader()
        self._peer: Peer | None = None
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.address = str(Address(*peer[:2])) if isinstance(peer, tuple) else "@"
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._lookupd.joined(self)
        logger.info("TCP: new client(%s)", self.address)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        commands = self._reader.read(data)
        if commands:
            self._transport.write(b"".join(encode_sized(self._answer(command)) for command in commands))
        if self._reader.error is not None:
            self._refuse(self._reader.error)

    def eof_received(self) -> None:
        self._reader.end()
        if self._reader.error is not None and not self._refused:
            self._refuse(self._reader.error)

    def pause_writing(self) -> None:
        self._transport.pause_reading()
        self._set_timer(WRITE_TIMEOUT, self._write_timed_out)

    def resume_writing(self) -> None:
        if not self._refused:
            self._cancel_timer()
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._cancel_timer()
        logger.info("PROTOCOL(V1): [%s] exiting ioloop", self.address)
        if self._peer is not None:
            self._log("UNREGISTER", self._lookupd.registry.disconnect(self._peer))
        self._lookupd.left(self)

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def _answer(self, command: LookupCommand) -> bytes:
        """Carry out a command; the response to it."""
        registry, now = self._lookupd.registry, self._lookupd.now()
        if isinstance(command, IdentifyNode):
            node = command.node
            logger.info(
                "CLIENT(%s): IDENTIFY Address:%s TCP:%d HTTP:%d Version:%s",
                self.address,
                node.broadcast_address,
                node.tcp_port,
                node.http_port,
                node.version,
            )
            self._peer = registry.identify(self.address, node, now)
            self._log("REGISTER", [CLIENT])
            return self._lookupd.identity()
        if isinstance(command, Ping):
            self._ping(now)
            return OK
        assert self._peer is not None, "the reader lets nothing else pass before IDENTIFY"
        if isinstance(command, Register):
            self._log("REGISTER", registry.register(self._peer, command.topic, command.channel))
        else:
            self._log("UNREGISTER", registry.unregister(self._peer, command.topic, command.channel))
        return OK

    def _ping(self, now: float) -> None:
        if self._peer is None:
            return
        since = format_duration(now - self._peer.last_update)
        logger.info("CLIENT(%s): pinged (last ping %s)", self.address, since)
        self._lookupd.registry.ping(self._peer, now)

    def _refuse(self, error: NSQError) -> None:
        """Tell the peer why, when there is something to tell, and close."""
        self._refused = True
        if not isinstance(error, ServerError):
            self._transport.close()
            return
        logger.error("[%s] - %s", self.address, error)
        self._transport.write(encode_sized(error.data))
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._set_timer(LINGER, self._transport.abort)

    def _write_timed_out(self) -> None:
        logger.error("[%s] does not read: nothing could be written for %gs", self.address, WRITE_TIMEOUT)
        self._transport.abort()

    def _set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(delay, callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _log(self, what: str, registrations: Iterable[Registration]) -> None:
        for registration in registrations:
            logger.info("DB: client(%s) %s category:%s key:%s subkey:%s", self.address, what, *registration)
