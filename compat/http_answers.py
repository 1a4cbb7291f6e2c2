"""Answers of the HTTP ports, in the three styles of nsqd and nsqlookupd (nsqd-http sections 1.1 and 10)."""

from __future__ import annotations

import enum
import html
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"
_HTML = "text/html; charset=utf-8"

_HTML_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


class Style(enum.Enum):
    """How a call is answered."""

    V1 = "the API since 1.0, by header and by `message`"
    PLAIN = "bare text, errors too: /ping"
    LEGACY = "before 1.0: JSON is wrapped in status_code, status_txt and data, and every error is a 500"


@dataclass(frozen=True)
class Answer:
    """One answer; `is_v1` is told by a header."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_v1: bool = False


def success(result: object, style: Style) -> Answer:
    """None is an empty answer, str and bytes are bare text, anything else is JSON."""
    is_v1 = style is Style.V1
    if isinstance(result, str):
        result = result.encode("utf-8", "replace")
    if isinstance(result, bytes):
        return Answer(200, result, TEXT if result else None, is_v1=is_v1)
    if style is Style.LEGACY:
        return Answer(200, _wrapped(200, "OK", result), JSON)
    if result is None:
        return Answer(200, is_v1=is_v1)
    return Answer(200, encode_json(result), JSON, is_v1=is_v1)


def error(
    status: int, code: str, style: Style = Style.V1, headers: Mapping[str, str] | None = None
) -> Answer:
    """A refusal, with the word `code` as NSQ's clients know it."""
    if style is Style.PLAIN:
        return Answer(status, code.encode(), TEXT, headers or {})
    if style is Style.LEGACY:
        return Answer(500, _wrapped(500, code, None), JSON, headers or {})
    return Answer(status, encode_json({"message": code}), JSON, headers or {}, is_v1=True)


def redirect(method: str, location: str) -> Answer:
    """Another path is meant, `location` being text of latin-1; GET has a link in its answer, for people."""
    headers = {"Location": quote(location, safe=string.punctuation + " ", encoding="latin-1")}
    if method != "GET":
        return Answer(307, headers=headers)
    link = html.escape(headers["Location"]).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    return Answer(301, f'<a href="{link}">Moved Permanently</a>.\n\n'.encode(), _HTML, headers)


def encode_json(value: object) -> bytes:
    """Compact JSON as Go writes it: UTF-8 as it is, `<`, `>` and `&` escaped, no newline."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_HTML_ESCAPES).encode("utf-8", "replace")


def _wrapped(status: int, text: str, data: object) -> bytes:
    return encode_json({"status_code": status, "status_txt": text, "data": data})
