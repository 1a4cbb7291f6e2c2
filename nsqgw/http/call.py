"""A call of an HTTP API as a value, and the conversation it takes, without I/O.

Both kinds of clients do the same: drive `conversation`, which yields the requests to send and is given the
answers, until it returns the result. How bytes get to the server and back is all they differ in.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import urlencode

from nsqgw.config import USER_AGENT
from nsqgw.http.address import HttpAddress
from nsqgw.http.answer import Answer, https_port, refusal

T = TypeVar("T")

_HEADERS = {"Accept": "application/vnd.nsq; version=1.0", "User-Agent": USER_AGENT}


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call: what to send, and how to read the answer of a server that did it.

    `read` raises BadAnswer when the answer makes no sense.
    """

    method: str
    path: str
    read: Callable[[Answer], T]
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: Callable[[Answer], Exception | None] = refusal
    """The error that an answer means; None when it is for `read`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, and where to: `target` is the path with its query.

    `what` says it as errors begin, without secrets: `127.0.0.1:4151: POST /topic/create?topic=t`.
    """

    address: HttpAddress
    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    what: str

    @property
    def url(self) -> str:
        """The whole URL, without user and password."""
        return f"{self.address.scheme}://{self.address.origin}{self.target}"


def conversation(
    call: Call[T], address: HttpAddress, auth_secret: str | None = None
) -> Generator[Request, Answer, T]:
    """Yields requests, is sent their answers, returns the call's result.

    An nsqd that wants TLS says so by 403 and names the port: the same is asked there once more
    (nsqd-http section 9). Raises HttpError for a refusal, BadAnswer for nonsense.
    """
    answer = yield _request(call, address, auth_secret)
    if address.scheme == "http" and (port := https_port(answer)) is not None:
        answer = yield _request(call, address.over_https(port), auth_secret)
    error = call.refused(answer)
    if error is not None:
        raise error
    return call.read(answer)


def _request(call: Call[T], address: HttpAddress, auth_secret: str | None) -> Request:
    authorization = f"Bearer {auth_secret}" if auth_secret is not None else address.authorization
    headers = {**_HEADERS, **call.headers}
    if authorization is not None:
        headers["Authorization"] = authorization
    parameters = urlencode(call.parameters)
    what = f"{address}: {call.method} {_with_query(call.path, parameters)}"
    target = _with_query(address.path + call.path, address.query, parameters)
    return Request(address, call.method, target, headers, call.body, what)


def _with_query(path: str, *queries: str) -> str:
    query = "&".join(part for part in queries if part)
    return f"{path}?{query}" if query else path
