"""How a stream of topology events is spoken: server-sent events (HTML standard) or WebSocket (RFC 6455).

No socket in here: each gives bytes to write.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from nsqgw.topology.journal import Entry

if TYPE_CHECKING:
    from websockets.server import ServerProtocol

_RETRY_MS = (1000, 3000)
_MAX_CLIENT_MESSAGE = 4096
_TRY_AGAIN = 1012


class Dialect(Protocol):
    """One reader's conversation."""

    @property
    def closed(self) -> bool:
        """Whether the reader said goodbye; from then on there is nothing to tell it."""

    def opening(self) -> bytes:
        """The head of the answer."""

    def events(self, entries: Iterable[Entry]) -> bytes:
        """These events."""

    def heartbeat(self) -> bytes:
        """We are still here."""

    def received(self, data: bytes) -> bytes:
        """What is to be said to `data` of the reader; mostly nothing."""

    def farewell(self) -> bytes:
        """The stream ends from our side; come back."""


class EventStream:
    """One block an event, its id the place to go on behind.

    Readers that come back by themselves do so after a pause that differs, so that they do not come all at
    once.
    """

    closed = False

    def opening(self) -> bytes:
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
            b"Connection: close\r\nX-Accel-Buffering: no\r\n\r\n"  # nginx would hold events back
            b"retry: %d\n\n" % random.randint(*_RETRY_MS)
        )

    def events(self, entries: Iterable[Entry]) -> bytes:
        return b"".join(
            b"id: %s\ndata: %s\n\n" % (str(entry.event.position).encode(), entry.data) for entry in entries
        )

    def heartbeat(self) -> bytes:
        return b":\n\n"

    def received(self, data: bytes) -> bytes:
        return b""

    def farewell(self) -> bytes:
        return b""


def websocket(target: str, headers: Mapping[str, str]) -> WebSocket:
    """The conversation the request asks for; ValueError when its handshake is malformed."""
    from websockets.server import ServerProtocol  # with the extra `gateways` only

    core = ServerProtocol(max_size=_MAX_CLIENT_MESSAGE)
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    core.receive_data("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
    events = core.events_received()
    if not events:
        raise ValueError(str(core.handshake_exc or core.parser_exc))
    response = core.accept(events[0])  # type: ignore[arg-type]  # the first event is the request
    if core.handshake_exc is not None:
        raise ValueError(str(core.handshake_exc))
    core.send_response(response)
    return WebSocket(core)


class WebSocket:
    """One text message an event."""

    def __init__(self, core: ServerProtocol) -> None:
        self._core = core

    @property
    def closed(self) -> bool:
        return self._core.close_expected()

    def opening(self) -> bytes:
        return self._to_send()

    def events(self, entries: Iterable[Entry]) -> bytes:
        for entry in () if self.closed else entries:
            self._core.send_text(entry.data)
        return self._to_send()

    def heartbeat(self) -> bytes:
        if not self.closed:
            self._core.send_ping(b"")
        return self._to_send()

    def received(self, data: bytes) -> bytes:
        self._core.receive_data(data)
        self._core.events_received()
        return self._to_send()

    def farewell(self) -> bytes:
        if not self.closed:
            self._core.send_close(_TRY_AGAIN, "come back")
        return self._to_send()

    def _to_send(self) -> bytes:
        return b"".join(self._core.data_to_send())
