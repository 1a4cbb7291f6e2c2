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

from gateways.push.answer import AnswerSession
from gateways.push.frame import Frame, is_utf8
from gateways.push.history import Replay

_RETRY_MS = (1000, 3000)
RETURN_MS = (100, 1000)
"""When the gateway goes away: it ends the streams one after the other, so they need not be spread much."""

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


class EventStreamSession(AnswerSession):
    """One block a message; see `event_block`."""

    __slots__ = ()

    encoding = staticmethod(event_block)
    kind = "sse"
    content_type = "text/event-stream"
    heartbeat = b":\n\n"

    def _begin(self) -> bytes:
        return self._retry(_RETRY_MS)

    def _retry(self, bounds: tuple[int, int]) -> bytes:
        return b"retry: %d\n\n" % random.randint(*bounds)

    def leave_in(self, seconds: float) -> None:
        if self._listening:
            self._transport.write(self._retry(RETURN_MS))

    def replay(self, topic: str, replay: Replay) -> None:
        if not replay.gap:
            # An id without data is kept and not shown: a browser that is cut off before its first message
            # comes back with it. Before a gap it would say that the browser was told of that.
            self._transport.write(b"id: %s\n\n" % replay.start.encode())
        super().replay(topic, replay)

    def _gap(self, topic: str, lost: int | None) -> bytes:
        return f"event: {GAP_EVENT}\ndata: {json.dumps({'lost': lost})}\n\n".encode()
