"""A stream for programs without WebSocket: an HTTP answer with one JSON object a line (NDJSON).

A message is `{"position": ..., "key": ..., "data": ...}`, with `"base64": true` where the body is no UTF-8;
lost messages are told by `{"gap": true, "lost": ...}`; an empty line is a sign of life.
"""

from __future__ import annotations

import base64
import json

from gateways.push.answer import AnswerSession
from gateways.push.frame import Frame, is_utf8


def message_document(frame: Frame) -> dict[str, object]:
    """A message as JSON says it."""
    identity = {"position": frame.position, "key": frame.key}
    if is_utf8(frame.body):
        return {**identity, "data": frame.body.decode()}
    return {**identity, "data": base64.b64encode(frame.body).decode(), "base64": True}


def message_json(frame: Frame) -> bytes:
    """A message as JSON, written out."""
    return json.dumps(message_document(frame), ensure_ascii=False).encode()


def gap_json(lost: int | None) -> bytes:
    """That messages are missing; None when nobody knows how many."""
    return json.dumps({"gap": True, "lost": lost}).encode()


def message_line(frame: Frame) -> bytes:
    """A message as a line."""
    return message_json(frame) + b"\n"


class LineSession(AnswerSession):
    """One line a message."""

    __slots__ = ()

    encoding = staticmethod(message_line)
    kind = "lines"
    content_type = "application/x-ndjson"
    heartbeat = b"\n"

    def _gap(self, topic: str, lost: int | None) -> bytes:
        return gap_json(lost) + b"\n"
