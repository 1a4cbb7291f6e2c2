"""HTTP as the checks need it: any method, any path as given, the answer whole."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The code of an error answer."""
        document = self.json
        assert list(document) == ["message"], document
        return str(document["message"])


def call(
    address: str, method: str, path: str, body: bytes | Iterable[bytes] | None = None, **headers: str
) -> Answer:
    """One request to `host:port`; an iterable body is sent chunked."""
    chunked = body is not None and not isinstance(body, bytes)
    with contextlib.closing(http.client.HTTPConnection(address, timeout=15)) as connection:
        connection.request(method, path, body, headers, encode_chunked=chunked)
        return _answer(connection)


def announce(address: str, path: str, length: int) -> Answer:
    """A POST that announces a body of `length` bytes and sends none of it."""
    with contextlib.closing(http.client.HTTPConnection(address, timeout=15)) as connection:
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        return _answer(connection)


def _answer(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, response.read(), names)


def get(address: str, path: str) -> Answer:
    return call(address, "GET", path)


def post(address: str, path: str, body: bytes | Iterable[bytes] = b"") -> Answer:
    return call(address, "POST", path, body)


def stats(address: str, query: str = "") -> dict[str, Any]:
    """The JSON of /stats."""
    answer = get(address, "/stats?format=json" + query)
    assert answer.status == 200, answer
    document: dict[str, Any] = answer.json
    return document


def channel_stats(address: str, topic: str, channel: str) -> dict[str, Any]:
    """The entry of one channel in /stats, or {} when there is none."""
    for entry in stats(address, f"&topic={topic.replace('#', '%23')}")["topics"] or ():
        for found in entry["channels"]:
            if found["channel_name"] == channel:
                return dict(found)
    return {}
