"""Publishes of one loop turn to one topic, as one MPUB."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Send = Callable[[str, list[bytes]], asyncio.Future[None]]


class Merger:
    """Collects bodies until the present turn of the loop is over, or a batch is full, then calls `send`."""

    def __init__(self, send: Send, max_batch_size: int) -> None:
        self._send = send
        self._max_batch_size = max_batch_size
        self._loop = asyncio.get_running_loop()
        self._batches: dict[str, tuple[list[bytes], list[asyncio.Future[None]]]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, topic: str, body: bytes) -> asyncio.Future[None]:
        """Publish with the others; the future has the fate of the whole batch."""
        size = self._sizes.get(topic, 4) + 4 + len(body)
        if size > self._max_batch_size and topic in self._batches:
            self._flush(topic)
            size = 8 + len(body)
        if not self._batches:
            self._loop.call_soon(self.flush)
        bodies, futures = self._batches.setdefault(topic, ([], []))
        future: asyncio.Future[None] = self._loop.create_future()
        bodies.append(body)
        futures.append(future)
        self._sizes[topic] = size
        return future

    def flush(self) -> None:
        """Send everything collected."""
        for topic in list(self._batches):
            self._flush(topic)

    def _flush(self, topic: str) -> None:
        bodies, futures = self._batches.pop(topic)
        del self._sizes[topic]
        try:
            sent = self._send(topic, bodies)
        except Exception as error:  # noqa: BLE001 - handed to those who await it
            sent = self._loop.create_future()
            sent.set_exception(error)
        sent.add_done_callback(lambda sent: _settle(sent, futures))


def _settle(sent: asyncio.Future[None], futures: list[asyncio.Future[None]]) -> None:
    error = sent.exception() if not sent.cancelled() else None
    for future in futures:
        if future.done():
            continue
        if sent.cancelled():
            future.cancel()
        elif error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
