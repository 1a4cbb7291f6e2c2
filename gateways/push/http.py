"""HTTP/1.1 requests and answers, as values: just what a front for long-lived streams needs (RFC 9112).

One request a connection, no request bodies: the head is parsed strictly, because everything that is
lenient here is a way around the checks that follow. No socket in here.
"""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qs, unquote

from gateways.push.access.grant import Visitor

END_OF_HEAD = b"\r\n\r\n"

REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.UPGRADE_REQUIRED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.NOT_IMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""What requests are refused with."""

_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.([01])", re.ASCII)
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.ASCII)
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SINGLE = frozenset({"host", "origin", "content-length"})
"""Headers that may come once only: with two, two readers may each believe another one."""

STRICT_TRANSPORT: Mapping[str, str] = MappingProxyType({"Strict-Transport-Security": "max-age=31536000"})
"""What goes with answers over TLS: browsers come by TLS only, for a year."""

_MAX_ARGUMENTS = 32

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class BadRequest(Exception):
    """The request cannot be served; `status`, the text and `headers` are the answer."""

    def __init__(
        self, status: HTTPStatus, text: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


@dataclass(frozen=True)
class Request:
    """The head of a request. Header names are in lower case; repeated headers are joined by commas."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    raw: bytes = field(repr=False)
    visitor: Visitor = field(default_factory=Visitor, repr=False)
    """Whose connection it came on."""
    address: str = ""
    """The IP address the connection came from, which may be a proxy's."""

    @property
    def wants_upgrade(self) -> bool:
        """Whether the client asks to speak WebSocket from here on."""
        return "websocket" in self.headers.get("upgrade", "").lower()

    def argument(self, name: str) -> str | None:
        """The value of `name` in the query; BadRequest for several: two readers may each believe another."""
        try:
            found = parse_qs(self.query, max_num_fields=_MAX_ARGUMENTS).get(name)
        except ValueError:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "the query has too many arguments") from None
        if found and len(found) > 1:
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"the argument {name} comes more than once")
        return found[0] if found else None

    def accepts(self, media_type: str) -> bool:
        """Whether `media_type` is named in the Accept header."""
        accepted = self.headers.get("accept", "").split(",")
        return any(entry.partition(";")[0].strip().lower() == media_type for entry in accepted)


@dataclass(frozen=True)
class Response:
    """An answer that ends the connection."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    """Of a refusal, for the log."""

    def serialize(self, method: str = "GET") -> bytes:
        """The bytes of the answer; without the body for HEAD."""
        headers = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Connection": "close",
            "X-Content-Type-Options": "nosniff",
            **self.headers,
        }
        return head(self.status, headers) + (b"" if method == "HEAD" else self.body)


def head(status: HTTPStatus, headers: Mapping[str, str]) -> bytes:
    """Status line and headers of an answer, with the date."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Date: {email.utils.formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + END_OF_HEAD


def json_response(status: HTTPStatus, document: object, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
    """`document` as JSON, not to be cached."""
    return Response(
        status,
        json.dumps(document).encode() + b"\n",
        "application/json",
        {"Cache-Control": "no-store", **headers},
    )


def error_response(status: HTTPStatus, text: str, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
    """`{"error": text}`: every refusal of this server has this form."""
    return replace(json_response(status, {"error": text}, headers), reason=text)


def parse_request(raw: bytes) -> Request:
    """The request whose head is `raw`, up to and with the empty line; BadRequest when it is none."""
    request_line, *lines = raw[: -len(END_OF_HEAD)].decode("latin-1").split("\r\n")
    match = _REQUEST_LINE.fullmatch(request_line)
    if match is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "this is no HTTP/1.1 request")
    method, target, minor = match.groups()
    if not target.startswith("/"):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the request target must be a path")
    headers = _parse_headers(lines)
    if minor == "1" and "host" not in headers:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the Host header is missing")
    if "transfer-encoding" in headers:
        raise BadRequest(HTTPStatus.NOT_IMPLEMENTED, "request bodies are not taken")
    path, _, query = target.partition("?")
    return Request(method, unquote(path, errors="replace"), query, headers, raw)


def _parse_headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None or _FORBIDDEN.search(line):
            raise BadRequest(HTTPStatus.BAD_REQUEST, "a header line is malformed")
        name, value = match[1].lower(), match[2]
        if name not in headers:
            headers[name] = value
        elif name in _SINGLE:
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"the header {name} comes more than once")
        else:
            headers[name] += f", {value}"
    return headers
