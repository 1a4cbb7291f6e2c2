"""Frames, nsqd to client (nsqd-tcp section 2): `int32 size | int32 type | data`, size counts type and data.

Encoding is here for the server's side; the client parses in `messages.py`, where speed matters.
"""

from __future__ import annotations

import struct

MAGIC_V2 = b"  V2"
MAGIC_V1 = b"  V1"

FRAME_RESPONSE = 0
FRAME_ERROR = 1
FRAME_MESSAGE = 2

OK = b"OK"
CLOSE_WAIT = b"CLOSE_WAIT"
HEARTBEAT = b"_heartbeat_"

HEADER = struct.Struct(">ii")
MESSAGE_HEADER = struct.Struct(">qH16s")
"""Timestamp in ns since the epoch, attempts, message id; the body follows."""

MESSAGE_FRAME_HEADER = struct.Struct(">iiqH16s")
MESSAGE_FRAME_OVERHEAD = MESSAGE_FRAME_HEADER.size
MESSAGE_ID_LENGTH = 16


def encode_frame(frame_type: int, data: bytes) -> bytes:
    """One frame of any type."""
    return HEADER.pack(4 + len(data), frame_type) + data


def encode_response(data: bytes) -> bytes:
    """A response frame: `OK`, `CLOSE_WAIT`, `_heartbeat_` or a JSON document."""
    return HEADER.pack(4 + len(data), FRAME_RESPONSE) + data


def encode_error(data: bytes) -> bytes:
    """An error frame; `data` is `E_CODE description`, see `ServerError.data`."""
    return HEADER.pack(4 + len(data), FRAME_ERROR) + data


def encode_message(timestamp: int, attempts: int, message_id: bytes, body: bytes) -> bytes:
    """A message frame; `timestamp` in ns since the epoch, `message_id` 16 bytes."""
    return MESSAGE_FRAME_HEADER.pack(30 + len(body), FRAME_MESSAGE, timestamp, attempts, message_id) + body
