"""From received bytes to events: the client's parser, built for batches.

One call handles a whole read: consecutive messages become one `Messages` event, so that everything
behind the parser pays per read and not per message. `parse` is the one seam where a faster
implementation could be put in; the class around it only keeps what a read left over.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nsqgw.errors import FrameTooBig, NotNSQ, ProtocolError, ServerError, server_error
from nsqgw.protocol.frames import (
    FRAME_ERROR,
    FRAME_MESSAGE,
    FRAME_RESPONSE,
    HEADER,
    HEARTBEAT,
    MESSAGE_FRAME_HEADER,
    MESSAGE_FRAME_OVERHEAD,
    OK,
    encode_response,
)

DEFAULT_MAX_FRAME_SIZE = 16 * 1024 * 1024

M = TypeVar("M")
MessageFactory = Callable[[int, int, bytes, bytes, Any], M]
"""Called as make(timestamp_ns, attempts, message_id, body, source)."""


@dataclass(frozen=True, slots=True)
class Messages(Generic[M]):
    """Messages that stood next to each other in one read, in order."""

    messages: list[M]


@dataclass(frozen=True, slots=True)
class Confirmations:
    """So many commands in a row were answered `OK`."""

    count: int


@dataclass(frozen=True, slots=True)
class Response:
    """Any other answer to a command: `CLOSE_WAIT` or JSON."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error frame, as the exception it stands for."""

    error: ServerError


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The server asks for a sign of life."""


Event = Messages[M] | Confirmations | Response | ErrorResponse | Heartbeat

_OK_FRAME = encode_response(OK)
_OK_RUN = re.compile(b"(?:" + re.escape(_OK_FRAME) + b")+")
_HEARTBEAT = Heartbeat()
_MIN_MESSAGE_SIZE = MESSAGE_FRAME_OVERHEAD - 4
_HTTP_AS_SIZE = int.from_bytes(b"HTTP", "big")


def parse(
    data: bytes, make: MessageFactory[M], source: Any, limit: int, events: list[Event[M]], *, most: int = 0
) -> int:
    """Append the events of all whole frames in `data`; the number of bytes they took.

    `source` is handed to `make` as it is. With `most` set, stop after that many frames.
    Raises ProtocolError for bytes that are no frame, FrameTooBig for a size above `limit`.
    """
    unpack = MESSAGE_FRAME_HEADER.unpack_from
    position, end, last_header = 0, len(data), len(data) - MESSAGE_FRAME_OVERHEAD
    run: list[M] = []
    append = run.append
    while True:
        if position <= last_header:
            size, kind, timestamp, attempts, message_id = unpack(data, position)
            if kind == FRAME_MESSAGE and _MIN_MESSAGE_SIZE <= size <= limit and not most:
                stop = position + 4 + size
                if stop > end:
                    break
                append(
                    make(
                        timestamp,
                        attempts,
                        message_id,
                        data[position + MESSAGE_FRAME_OVERHEAD : stop],
                        source,
                    )
                )
                position = stop
                continue
        confirmed = None if most else _OK_RUN.match(data, position)
        if confirmed is not None:
            stop = confirmed.end()
            event: Event[M] = Confirmations((stop - position) // len(_OK_FRAME))
        else:
            stop = _whole_frame(data, position, limit)
            if not stop:
                break
            event = _event(data, position, stop, make, source)
        if run:
            events.append(Messages(run))
            run = []
            append = run.append
        events.append(event)
        position = stop
        if most and len(events) >= most:
            break
    if run:
        events.append(Messages(run))
    return position


def _whole_frame(data: bytes, position: int, limit: int) -> int:
    """Where the frame at `position` ends, or 0 when it is not all there yet."""
    available = len(data) - position
    if available < HEADER.size:
        return 0
    size = _frame_size(data, position, limit)
    return position + size if available >= size else 0


def _frame_size(data: bytes | bytearray, position: int, limit: int) -> int:
    """The bytes of the frame whose header is at `position`; ProtocolError when no frame begins so."""
    size: int
    size, kind = HEADER.unpack_from(data, position)
    if size == _HTTP_AS_SIZE:
        raise NotNSQ("the peer speaks HTTP: this is an HTTP port; use nsqd's TCP port (4150 by default)")
    if kind not in (FRAME_RESPONSE, FRAME_ERROR, FRAME_MESSAGE):
        raise ProtocolError(
            f"frame type {kind} does not exist: the peer is no nsqd, or the stream is out of step"
        )
    if size < (_MIN_MESSAGE_SIZE if kind == FRAME_MESSAGE else 4):
        raise ProtocolError(f"frame of type {kind} announces a size of {size} bytes, which is too small")
    if size > limit:
        raise FrameTooBig(
            f"frame of {size} bytes announced, {limit} allowed; raise max_frame_size if it is real"
        )
    return 4 + size


def _event(data: bytes, position: int, stop: int, make: MessageFactory[M], source: Any) -> Event[M]:
    kind = HEADER.unpack_from(data, position)[1]
    if kind == FRAME_MESSAGE:
        _, _, timestamp, attempts, message_id = MESSAGE_FRAME_HEADER.unpack_from(data, position)
        return Messages(
            [make(timestamp, attempts, message_id, data[position + MESSAGE_FRAME_OVERHEAD : stop], source)]
        )
    payload = data[position + HEADER.size : stop]
    if kind == FRAME_ERROR:
        return ErrorResponse(server_error(payload))
    if payload == OK:
        return Confirmations(1)
    return _HEARTBEAT if payload == HEARTBEAT else Response(payload)


class FrameParser(Generic[M]):
    """Keeps the tail of each read until the frame it belongs to is whole.

    Takes time linear in the bytes received, however small the reads, and holds at most one
    unfinished frame (`max_frame_size`, in bytes) beside the read at hand.
    """

    def __init__(self, make: MessageFactory[M], max_frame_size: int = DEFAULT_MAX_FRAME_SIZE) -> None:
        self._make = make
        self._limit = max_frame_size
        self._pending = bytearray()
        self._needed = HEADER.size

    def feed(self, data: bytes, source: Any = None, *, most: int = 0) -> list[Event[M]]:
        """The events that `data` completes; at most `most` of them if given, the rest stays pending."""
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                return []
            data = bytes(self._pending)
            self._pending.clear()
        events: list[Event[M]] = []
        consumed = parse(data, self._make, source, self._limit, events, most=most)
        if consumed < len(data):
            self.hold(memoryview(data)[consumed:])
        return events

    def hold(self, data: bytes | memoryview) -> None:
        """Keep `data` for the next `feed`, unparsed."""
        self._pending += data
        self._needed = HEADER.size
        if len(self._pending) >= HEADER.size:
            # A bad header fails when its turn comes, in `parse`, and not by waiting for what it announces.
            with contextlib.suppress(ProtocolError):
                self._needed = _frame_size(self._pending, 0, self._limit)

    def take_pending(self) -> bytes:
        """The bytes not yet parsed, removed: they belong to another layer (compression) from here on."""
        pending = bytes(self._pending)
        self._pending.clear()
        return pending
