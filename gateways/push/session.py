"""One browser on one stream, whatever it speaks: writes what the hub offers, or queues it while it cannot.

The transport holds a little; while it holds too much, messages wait by reference in a backlog, whose policy
decides when the browser has to go. A browser that does not read is not read from either, so that its own
pings cannot fill memory with pongs. WebSocket and event stream differ in how they begin, stay alive and end.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Collection
from enum import Enum
from os import write
from typing import ClassVar, cast

from gateways.push.access.grant import Visitor
from gateways.push.backlog import Backlog
from gateways.push.context import Context
from gateways.push.filter import Filter
from gateways.push.frame import Burst, Encoding, Frame
from gateways.push.history import Replay

logger = logging.getLogger(__name__)


class Ending(Enum):
    """Why a stream ends from our side: WebSocket close code and reason.

    4000 to 4499 are ours and bid the client to come back, 4500 to 4999 tell it that this would not help.
    """

    SLOW = (4008, "slow")
    TOKEN_EXPIRED = (4010, "token expired")
    NO_PONG = (4012, "no pong")
    TOO_CHATTY = (1008, "too many messages")
    RESTART = (1012, "service restart")
    NOT_UTF8 = (1007, "text is not UTF-8")
    BAD_COMMAND = (4501, "malformed command")
    INVALID_TOKEN = (4500, "invalid token")
    NO_TOKEN = (4502, "no token")
    DISCONNECTED = (4503, "disconnected")
    TOO_MANY_CONNECTIONS = (4504, "too many connections")
    UNKNOWN_CHANNEL = (4505, "unknown channel")
    NOT_ALLOWED = (4507, "not allowed")
    TOO_MANY_ERRORS = (4509, "too many errors")

    @property
    def code(self) -> int:
        """The close code."""
        return self.value[0]

    @property
    def reason(self) -> str:
        """The reason in the close frame, in logs and metrics."""
        return self.value[1]


CLOSED, PROTOCOL_ERROR, GONE = "closed by the browser", "protocol error", "gone"
ABORTED, ANSWERED = "aborted", "poll answered"
"""Why a stream ends otherwise."""

_WRITE_BYTES = 65_536
"""What waits goes out in writes of about this size, however small its pieces."""

REASONS = (*(ending.reason for ending in Ending), CLOSED, PROTOCOL_ERROR, GONE, ABORTED, ANSWERED)


class Session(asyncio.Protocol, ABC):
    """A subscriber of the hub that sits on a transport."""

    __slots__ = (
        "_backlog",
        "_context",
        "_deadline",
        "_direct",
        "_ending",
        "_listening",
        "_paused",
        "_transport",
        "topics",
        "visitor",
    )

    encoding: Encoding
    kind: ClassVar[str]
    """What it speaks, for metrics."""

    topics: Collection[str]
    """What it follows."""
    visitor: Visitor
    """Whose connection it is; given by the reader of the request, before `start`."""

    def __init__(self, context: Context, topics: Collection[str]) -> None:
        self.topics = topics
        self._context = context
        self._backlog: Backlog | None = None
        self._paused = False
        self._listening = False
        self._direct = -1
        """The socket's descriptor while messages may be written to it; it is ours until `connection_lost`."""
        self._ending: Ending | None = None
        self._deadline: float | None = None

    def start(self, transport: asyncio.Transport, rest: bytes) -> None:
        """Take over `transport` from the reader of the request; `rest` came after the request's head."""
        self._transport = transport
        transport.set_protocol(self)
        # whatever it holds, we are told; TLS counts what is as much as the limit, so for it that is not 0
        transport.set_write_buffer_limits(high=int(transport.get_extra_info("ssl_object") is not None))
        self._context.admit(self)
        self._listening = True
        self._direct = _descriptor(transport)
        self._open()
        if rest:
            self.data_received(rest)

    @property
    def waiting_bytes(self) -> int:
        """What this browser has not taken: its backlog and the transport's buffer."""
        backlog = self._backlog.size if self._backlog is not None else 0
        return backlog + self._transport.get_write_buffer_size()

    def offer(self, data: bytes, burst: Burst) -> None:
        """Write `data`, or queue it; close the browser that lags too far behind."""
        if self._direct >= 0:
            # To the socket itself, which spares half of what a transport adds to the kernel's work. The
            # transport holds nothing, else it had paused us; errors, and what the kernel refuses, are its.
            try:
                written = write(self._direct, data)
            except OSError:
                written = 0
            if written != len(data):
                self._transport.write(data[written:])
        elif not self._listening:
            return
        elif self._backlog is None:
            self._transport.write(data)
        elif not self._backlog.add(burst, self.encoding, self._context.clock()):
            self.close(Ending.SLOW)

    def miss(self, channel: str) -> None:
        """Tell that messages of `channel` are lost here, nobody knows how many."""
        if self._backlog is not None:
            self._backlog.tear(channel)
        else:
            self._write_gap(channel, None)

    def replay(self, topic: str, replay: Replay) -> None:
        """Give what was missed, after a word about what of it is lost."""
        if replay.gap:
            self._write_gap(topic, None)
        frames: list[Frame] = []
        size = 0
        for frame in replay.frames:
            frames.append(frame)
            size += len(frame.body)
            if size >= _WRITE_BYTES or frame is replay.frames[-1]:
                burst = Burst(topic, frames)
                self.offer(burst.encoded(self.encoding), burst)
                frames, size = [], 0

    def look(self, now: float) -> None:
        """Once a turn of the wheel: overdue backlogs, pings and the deadline of a close."""
        if self._deadline is not None:
            if now >= self._deadline:
                self.abort()
        elif now >= self.visitor.due:
            self._grant_due(now)
        elif self._backlog is None:
            self._keep_alive(now)
        elif self._backlog.overdue(now):
            self.close(Ending.SLOW)

    def leave_in(self, seconds: float) -> None:
        """The gateway goes away in so many seconds; those who can be told are."""

    def end(self) -> None:
        """The gateway goes away: close as soon as the browser has what waits for it."""
        if not self._listening:
            return
        if self._backlog is None:
            self.close(Ending.RESTART)
        else:
            self._leave(Ending.RESTART.reason)
            self._ending = Ending.RESTART

    def channel_ended(self, channel: str) -> None:
        """`channel`, which it follows, is not streamed any more."""
        self.close(Ending.UNKNOWN_CHANNEL)

    def abort(self) -> None:
        self._leave(ABORTED)
        self._transport.abort()

    def close(self, ending: Ending) -> None:
        """Say why and close; what waits in the backlog is given up."""
        if not self._listening:
            return
        if ending is Ending.SLOW:
            logger.warning("%s is too slow for %s", self.peer, self._followed())
        self._leave(ending.reason)
        self._backlog = None
        self._say_farewell(ending)

    @property
    def peer(self) -> str:
        """The browser's address."""
        address = self._transport.get_extra_info("peername")
        return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "a browser"

    # asyncio's side

    def pause_writing(self) -> None:
        self._paused = True
        self._direct = -1
        self._transport.pause_reading()
        if self._backlog is None and self._listening:
            self._backlog = self._context.new_backlog(self.topics)
        if self._backlog is not None:
            self._backlog.stall(self._context.clock())

    def resume_writing(self) -> None:
        self._paused = False
        self._transport.resume_reading()
        backlog = self._backlog
        if backlog is None:
            return
        while not self._paused:  # a write may pause us again
            data = self._next_write(backlog)
            if not data:
                self._backlog = None
                self._direct = _descriptor(self._transport) if self._listening else -1
                break
            self._transport.write(data)
        if self._backlog is None and self._ending is not None:
            self._say_farewell(self._ending)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave(GONE)
        self._backlog = None
        self._context.gate.leave(self.visitor)
        self._context.release(self)
        self._transport.close()  # TLS on Python 3.10 wants to be told, though there is nothing left

    def _follow(self, topic: str, since: str | None, wanted: Filter | None) -> None:
        """Begin with what was missed, if a position is known, and go on with what comes."""
        logger.info("%s follows topic %s by %s", self.peer, topic, self.kind)
        self.replay(topic, self._context.hub.subscribe(topic, self, since, wanted))

    def _next_write(self, backlog: Backlog) -> bytes:
        """What has waited longest, in pieces joined up to a size worth a write; empty at the end."""
        parts: list[bytes] = []
        size = 0
        while size < _WRITE_BYTES and (waiting := backlog.take()) is not None:
            if waiting.lost:
                self._context.lost[self._context.hub.topic_of(waiting.channel) or ""] += waiting.lost
            if waiting.lost or waiting.torn:
                parts.append(self._gap(waiting.channel, None if waiting.torn else waiting.lost))
            parts.append(waiting.data)
            size += len(waiting.data) + 1
        return b"".join(parts)

    def _write_gap(self, topic: str, lost: int | None) -> None:
        if self._listening and (gap := self._gap(topic, lost)):
            self._transport.write(gap)

    def _followed(self) -> str:
        return f"topic {', '.join(sorted(self.topics))}" if self.topics else "no topic"

    # for the kinds

    def _grant_due(self, now: float) -> None:
        """What the grant's end asks for; a connection that cannot renew it ends."""
        self.close(Ending.TOKEN_EXPIRED)

    def _gap(self, topic: str, lost: int | None) -> bytes:
        """How a browser is told that messages are missing here; None when nobody knows how many."""
        return b""

    def _leave(self, reason: str) -> None:
        """Stop listening; what is left of the connection has `close_timeout` to end."""
        if not self._listening:
            return
        self._listening = False
        self._direct = -1
        self._deadline = self._context.clock() + self._context.limits.close_timeout
        for topic in self.topics:
            self._context.hub.unsubscribe(topic, self)
        self._context.closed[reason] += 1
        logger.info("%s left %s: %s", self.peer, self._followed(), reason)

    @abstractmethod
    def _open(self) -> None:
        """Answer the request."""

    @abstractmethod
    def _keep_alive(self, now: float) -> None:
        """Send a sign of life when it is time, and close when the peer gives none."""

    @abstractmethod
    def _say_farewell(self, ending: Ending) -> None:
        """Write the close, if the protocol has one, and close the transport."""


def _descriptor(transport: asyncio.Transport) -> int:
    """Where bytes may go past `transport`; -1 where it encrypts them."""
    if transport.get_extra_info("ssl_object") is not None:
        return -1
    return cast("socket.socket", transport.get_extra_info("socket")).fileno()


def tune(transport: asyncio.Transport) -> None:
    """No waiting for more data before a small message leaves, and an end to peers that are gone."""
    sock = cast("socket.socket | None", transport.get_extra_info("socket"))
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
