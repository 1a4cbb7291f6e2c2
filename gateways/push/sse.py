"""A browser that reads server-sent events (HTML standard): an answer that never ends.

Comments keep it open through proxies. There is no close in the protocol: the stream ends, and an
EventSource connects again by itself, after the delay that is spread here so that they do not all come at
once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from http import HTTPStatus

from gateways.push.context import Context
from gateways.push.frame import event_block
from gateways.push.http import head
from gateways.push.session import Ending, Session

CONTENT_TYPE = "text/event-stream"
_HEARTBEAT = b":\n\n"
_RETRY_MS = (1000, 3000)


class EventStreamSession(Session):
    """One block a message; see `event_block`."""

    __slots__ = ("_headers", "_heartbeat_at")

    encoding = staticmethod(event_block)
    kind = "sse"

    def __init__(self, context: Context, topic: str, headers: Mapping[str, str]) -> None:
        super().__init__(context, topic)
        self._headers = headers
        self._heartbeat_at = context.clock()

    def data_received(self, data: bytes) -> None:
        """A client has nothing to say after its request; it is read so that its end is seen."""

    def _open(self) -> None:
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Cache-Control": "no-store",
            "Connection": "close",
            "X-Accel-Buffering": "no",  # nginx would hold messages back
            **self._headers,
        }
        retry = b"retry: %d\n\n" % random.randint(*_RETRY_MS)
        self._transport.write(head(HTTPStatus.OK, headers) + retry)

    def _keep_alive(self, now: float) -> None:
        if now - self._heartbeat_at >= self._context.limits.heartbeat_interval:
            self._heartbeat_at = now
            self._transport.write(_HEARTBEAT)

    def _say_farewell(self, ending: Ending) -> None:
        self._transport.close()
