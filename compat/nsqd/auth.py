"""What nsqd asks an auth server about a secret, and what the answer permits (nsqd-tcp section 6)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from nsqgw.errors import NSQError

PERMISSIONS = ("subscribe", "publish")


class AuthServerError(NSQError):
    """No auth server gave an answer that makes sense; clients are not told why."""


@dataclass(frozen=True)
class Question:
    """What an auth server is asked about a client."""

    secret: bytes
    remote_ip: str
    tls: bool
    common_name: str

    def encode_query(self) -> str:
        """The question as the query of a URL."""
        return urlencode(sorted(self._parameters().items()))

    def encode_json(self) -> bytes:
        """The question as a document; each value is a list, as Go writes url.Values."""
        texts = {name: value.decode("utf-8", "replace") for name, value in self._parameters().items()}
        return json.dumps({name: [text] for name, text in sorted(texts.items())}).encode()

    def _parameters(self) -> dict[str, bytes]:
        return {
            "common_name": self.common_name.encode(),
            "remote_ip": self.remote_ip.encode(),
            "secret": self.secret,
            "tls": b"true" if self.tls else b"false",
        }


@dataclass(frozen=True)
class Authorization:
    """One entry of the answer: who may do what where."""

    topic: re.Pattern[str]
    channels: tuple[re.Pattern[str], ...]
    permissions: frozenset[str]

    def allows(self, permission: str, topic: str, channel: str) -> bool:
        """Whether it permits that; for publishing the channel is empty, and must match all the same."""
        return (
            permission in self.permissions
            and self.topic.search(topic) is not None
            and any(each.search(channel) for each in self.channels)
        )


@dataclass(frozen=True)
class Grant:
    """What an auth server said about a secret; it holds until `expires`, by the broker's clock."""

    identity: str
    identity_url: str
    authorizations: tuple[Authorization, ...]
    expires: float

    def allows(self, topic: str, channel: str) -> bool:
        """Whether publishing to the topic, or with a channel subscribing to that, is permitted."""
        permission = "subscribe" if channel else "publish"
        return any(each.allows(permission, topic, channel) for each in self.authorizations)


def parse_grant(document: Mapping[str, Any], now: float) -> Grant:
    """The answer of an auth server; AuthServerError when anything in it makes no sense."""
    ttl = _taken(document, "ttl", int, 0)
    if ttl <= 0:
        raise AuthServerError(f"invalid TTL {ttl} (must be >0)")
    entries = _taken(document, "authorizations", list, [])
    return Grant(
        _taken(document, "identity", str, ""),
        _taken(document, "identity_url", str, ""),
        tuple(map(_authorization, entries)),
        now + ttl,
    )


def _authorization(entry: object) -> Authorization:
    if not isinstance(entry, dict):
        raise AuthServerError(f"authorization {entry!r} is no object")
    permissions = frozenset(_texts(entry, "permissions"))
    for permission in permissions - set(PERMISSIONS):
        raise AuthServerError(f"unknown permission {permission}")
    return Authorization(
        _pattern("topic", _taken(entry, "topic", str, "")),
        tuple(_pattern("channel", each) for each in _texts(entry, "channels")),
        permissions,
    )


def _texts(document: Mapping[str, Any], key: str) -> list[str]:
    values: list[str] = _taken(document, key, list, [])
    if not all(isinstance(each, str) for each in values):
        raise AuthServerError(f"{key} {values!r} is no list of strings")
    return values


def _taken(document: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = document.get(key)
    if value is None:
        return default
    if type(value) is not kind:
        raise AuthServerError(f"{key} {value!r} is of the wrong type")
    return value


def _pattern(what: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise AuthServerError(f"unable to compile {what} {text!r}: {error}") from error
