"""A stream for programs without WebSocket: an HTTP answer with one JSON object a line (NDJSON).

A message is `{"position": ..., "data": ...}`, with `"base64": true` where the body is no UTF-8; lost messages
are told by `{"gap": true, "lost": ...}`; an empty line is a sign of life.
"""

from __future__ import annotations

import base64
import json

from gateways.push.answer import AnswerSession
from gateways.push.frame import Frame, is_utf8


def message_document(frame: Frame) -> dict[str, object]:
    """A message as JSON says it."""
    if is_utf8(frame.body):
        return {"position": frame.position, "data": frame.body.decode()}
    return {"position": frame.position, "data": base64.b64encode(frame.body).decode(), "base64": True}


def message_line(frame: Frame) -> bytes:
    """A message as a line."""
    return json.dumps(message_document(frame), ensure_ascii=False).encode() + b"\n"


class LineSession(AnswerSession):
    """One line a message."""

    __slots__ = ()

    encoding = staticmethod(message_line)
    kind = "lines"
    content_type = "application/x-ndjson"
    heartbeat = b"\n"

    def _gap(self, topic: str, lost: int | None) -> bytes:
        return json.dumps({"gap": True, "lost": lost}).encode() + b"\n"
