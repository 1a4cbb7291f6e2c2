"""A browser that reads server-sent events (HTML standard): an answer that never ends.

Comments keep it open through proxies. There is no close in the protocol: the stream ends, and an
EventSource connects again by itself, after the delay that is spread here so that they do not all come at
once.
"""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Mapping
from http import HTTPStatus

from gateways.push.context import Context
from gateways.push.frame import Frame, is_utf8
from gateways.push.http import head
from gateways.push.session import Ending, Session

CONTENT_TYPE = "text/event-stream"
_HEARTBEAT = b":\n\n"
_RETRY_MS = (1000, 3000)

BINARY_EVENT = "binary"
"""Event name of a block whose data is base64, because the body is no UTF-8."""
GAP_EVENT = "gap"
"""Event name of a block that tells of lost messages."""

_LINE_END = re.compile(rb"\r\n|\r|\n")


def event_block(frame: Frame) -> bytes:
    """A block of an event stream (HTML standard, server-sent events), with the position as its id.

    One `data` line for each line of the body; the reader joins them with LF, so CR and CRLF arrive as LF.
    A body that is no UTF-8 cannot be said in an event stream: it is one line of base64 under the event
    name `binary`.
    """
    first = b"id: %s\n" % frame.position.encode()
    if not is_utf8(frame.body):
        return first + b"event: %s\ndata: %s\n\n" % (BINARY_EVENT.encode(), base64.b64encode(frame.body))
    return first + b"".join([b"data: %s\n" % line for line in _LINE_END.split(frame.body)]) + b"\n"


class EventStreamSession(Session):
    """One block a message; see `event_block`."""

    __slots__ = ("_headers", "_heartbeat_at", "_since")

    encoding = staticmethod(event_block)
    kind = "sse"

    def __init__(self, context: Context, topic: str, since: str | None, headers: Mapping[str, str]) -> None:
        super().__init__(context, (topic,))
        self._since = since
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
        for topic in self.topics:
            self._follow(topic, self._since)

    def _gap(self, topic: str, lost: int | None) -> bytes:
        return f"event: {GAP_EVENT}\ndata: {json.dumps({'lost': lost})}\n\n".encode()

    def _keep_alive(self, now: float) -> None:
        if now - self._heartbeat_at >= self._context.limits.heartbeat_interval:
            self._heartbeat_at = now
            self._transport.write(_HEARTBEAT)

    def _say_farewell(self, ending: Ending) -> None:
        self._transport.close()
