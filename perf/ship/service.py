"""A log service as cheap as it can be, in a process of its own: answers every POST after a delay, and counts.

An event is a line; a body without a newline is one. GET / tells what came, as JSON, and the process's CPU.
GET /down has it answer 503 and count nothing, GET /up is the end of that.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Totals:
    """What came to all connections."""

    def __init__(self) -> None:
        self.events = 0
        self.requests = 0
        self.last = 0.0
        self.is_up = True

    def as_json(self) -> bytes:
        figures = {
            "events": self.events,
            "requests": self.requests,
            "last": self.last,
            "cpu": time.process_time(),
        }
        return json.dumps(figures).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1 with Content-Length, no more; requests one after the other."""

    def __init__(self, totals: Totals, delay: float) -> None:
        self._totals = totals
        self._delay = delay
        self._head = bytearray()
        self._left = 0
        self._lines = 0
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._take(data)
            return
        self._head += data
        head, found, body = bytes(self._head).partition(b"\r\n\r\n")
        if not found:
            return
        self._head.clear()
        if head.startswith(b"GET"):
            if head.startswith((b"GET /down", b"GET /up")):
                self._totals.is_up = head.startswith(b"GET /up")
            figures = self._totals.as_json()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(figures) + figures)
            return
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        self._left = int(lower[start:].partition(b"\r\n")[0])
        self._take(body)

    def _take(self, data: bytes) -> None:
        self._lines += data.count(b"\n")
        self._left -= len(data)
        if self._left <= 0:
            totals = self._totals
            totals.requests += 1
            if totals.is_up:
                totals.events += self._lines or 1
                totals.last = time.monotonic()
            self._left = self._lines = 0
            self._loop.call_later(self._delay, self._transport.write, _OK if totals.is_up else _UNAVAILABLE)


async def main(delay: float) -> None:
    totals = Totals()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(totals, delay), "127.0.0.1", 0, backlog=2000)
    host, port = server.sockets[0].getsockname()
    print(f"{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
