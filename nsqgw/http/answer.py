"""Answers of the HTTP APIs: what they say, of versions before 1.0 too, or which error they are.

Those old versions wrap what they say in `{"status_code": ..., "status_txt": ..., "data": ...}`
(nsqd-http section 10).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from nsqgw.errors import BadAnswer, HttpError
from nsqgw.http.records import Mismatch, items, record

R = TypeVar("R")

_CONTENT_TYPE = "X-NSQ-Content-Type"
_V1 = "nsq; version=1.0"
_CODE = re.compile(r"[A-Z0-9_]+", re.ASCII)
_SHOWN_BYTES = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (looked up without regard to case) and body; `what` says what it is the answer to."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    what: str

    @property
    def excerpt(self) -> str:
        """The start of the body, fit for one line."""
        text = self.body[:_SHOWN_BYTES].decode("utf-8", "replace")
        return repr(text + "..." if len(self.body) > _SHOWN_BYTES else text)

    def bad(self, reason: str) -> BadAnswer:
        """The error of an answer that makes no sense, for the reason given."""
        return BadAnswer(f"{self.what}: answered {self.status} {reason}: {self.excerpt}")


def json_value(answer: Answer) -> Any:
    """The JSON of an answer, unwrapped when an old version wrapped it; BadAnswer when it is none."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise answer.bad("and no JSON") from error
    if isinstance(value, dict) and "data" in value and answer.headers.get(_CONTENT_TYPE) != _V1:
        return value["data"]
    return value


def json_object(answer: Answer) -> dict[str, Any]:
    """The same, for a JSON object."""
    value = json_value(answer)
    if not isinstance(value, dict):
        raise answer.bad("and no JSON object")
    return value


def from_object(read: Callable[[dict[str, Any]], R]) -> Callable[[Answer], R]:
    """Reads an answer by what `read` makes of its JSON object; BadAnswer for what it raises as Mismatch."""

    def checked(answer: Answer) -> R:
        document = json_object(answer)
        try:
            return read(document)
        except Mismatch as error:
            raise answer.bad(f"but {error}") from error

    return checked


def record_of(kind: type[R]) -> Callable[[Answer], R]:
    """Reads a JSON object as a dataclass."""
    return from_object(lambda document: record(kind, document))


def items_of(kind: type[R], key: str) -> Callable[[Answer], tuple[R, ...]]:
    """Reads the list under `key` of a JSON object: strings, or objects as dataclasses."""
    return from_object(lambda document: items(kind, document.get(key), key))


def nothing(answer: Answer) -> None:
    """The result of a call that only does something."""


def text(answer: Answer) -> str:
    """The body as text; whatever is not UTF-8 is replaced."""
    return answer.body.decode("utf-8", "replace")


def refusal(answer: Answer) -> HttpError | None:
    """The error that an answer means; None for a status of success."""
    if 200 <= answer.status < 300:
        return None
    if 300 <= answer.status < 400:
        target = re.sub("//[^/]*@", "//", answer.headers.get("Location", "nowhere"))
        reason = f"redirects to {target[:200]!r}, which is not followed"
    else:
        reason = error_code(answer) or (answer.excerpt if answer.body else "without a reason")
    return HttpError(f"{answer.what}: {answer.status} {reason}", answer.status, error_code(answer))


def error_code(answer: Answer) -> str:
    """The word for a refusal, such as TOPIC_NOT_FOUND; empty when the answer has none."""
    document = _error_document(answer)
    for code in (document.get("message"), document.get("status_txt")):
        if isinstance(code, str) and _CODE.fullmatch(code):
            return code
    return ""


def https_port(answer: Answer) -> int | None:
    """Where to ask instead, when nsqd answers nothing in the clear (nsqd-http section 1.2)."""
    if answer.status != 403 or error_code(answer) != "TLS_REQUIRED":
        return None
    port = _error_document(answer).get("https_port")
    return port if type(port) is int and 0 < port < 65536 else None


def _error_document(answer: Answer) -> dict[str, Any]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
