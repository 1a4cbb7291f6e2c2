"""One line for each message, for services that take NDJSON: bytes pass through wherever that is right.

no newline inside     as it is, JSON or not: nothing is parsed (one newline at the end is taken off)
JSON over many lines  its newlines become spaces; numbers and everything else stay as written
other text            a JSON string, so that it stays one event
bytes that are no UTF-8, with newlines   {"body_base64": "..."}
blank                 a JSON string: readers of NDJSON would skip a blank line
"""

from __future__ import annotations

import base64

import orjson

_NEWLINES = bytes.maketrans(b"\r\n", b"  ")


def ndjson_line(body: bytes) -> bytes:
    """The line that stands for `body`, without its end."""
    line = body[:-1] if body.endswith(b"\n") else body
    if b"\n" not in line and not line.isspace() and line:
        return line
    return _one_line(body)


def _one_line(body: bytes) -> bytes:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    else:
        # A newline inside a JSON string is always escaped: these stand between tokens.
        return body.strip().translate(_NEWLINES)
    try:
        return orjson.dumps(body.decode())
    except UnicodeDecodeError:
        return orjson.dumps({"body_base64": base64.b64encode(body).decode()})
