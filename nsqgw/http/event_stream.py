"""Server-sent events (HTML standard) as they come out of bytes cut anywhere: ids and data. No socket."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nsqgw.errors import BadAnswer

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event: what the server calls it, for going on behind it, and what it says."""

    id: str
    data: bytes


class EventStreamParser:
    """Feed it bytes, get events. An event larger than `max_bytes` raises BadAnswer."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._id = ""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that `chunk` completes."""
        half_an_end = self._buffer.endswith(b"\r")  # of a CRLF, perhaps
        self._buffer += chunk
        lines: list[bytes] = []
        if half_an_end or b"\n" in chunk or b"\r" in chunk:
            held = b"\r" if self._buffer.endswith(b"\r") else b""
            *lines, rest = _LINE_END.split(bytes(self._buffer.removesuffix(held)))
            self._buffer = bytearray(rest + held)
        events = [event for line in lines if (event := self._line(line)) is not None]
        if len(self._buffer) + self._size > self._max_bytes:
            raise BadAnswer(f"an event of the stream is larger than {self._max_bytes} bytes")
        return events

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        if not self._data:
            return None
        event = ServerSentEvent(self._id, b"\n".join(self._data))
        self._data.clear()
        self._size = 0
        return event
