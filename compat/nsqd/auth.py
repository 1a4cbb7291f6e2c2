"""The auth servers of nsqd (nsqd-tcp section 6): the question about a secret, and what the answer permits."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from nsqgw.errors import NSQError
from nsqgw.http.address import HttpAddress, parse_http_address
from nsqgw.http.answer import Answer, json_object
from nsqgw.http.call import Call

if TYPE_CHECKING:
    from compat.nsqd.options import NsqdOptions

METHODS = ("get", "post")
PERMISSIONS = ("subscribe", "publish")

_MAX_ANSWER_BYTES = 4 * 1024 * 1024


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


class AuthServers:
    """All auth servers of one nsqd; raises ConfigError for addresses and files that cannot be used.

    `now` is the broker's clock, which grants end by.
    """

    def __init__(self, options: NsqdOptions, now: Callable[[], float]) -> None:
        from nsqgw.config import HttpConfig, TlsConfig  # not before there is a server: nsqd starts faster
        from nsqgw.http.exchange import Exchange

        self._addresses = [auth_address(each) for each in options.auth_http_addresses]
        self._post = options.auth_http_request_method == "post"
        self._now = now
        config = HttpConfig(
            timeout=options.http_client_request_timeout,
            max_answer_bytes=_MAX_ANSWER_BYTES,
            tls=TlsConfig(ca_file=options.tls_root_ca_file) if options.tls_root_ca_file else None,
        )
        self._exchange = Exchange(config, connect_timeout=options.http_client_connect_timeout)

    async def ask(self, question: Question) -> Grant:
        """The grant of the first server that answers, beginning with a random one; else AuthServerError."""
        count, start = len(self._addresses), random.randrange(len(self._addresses))
        failures = []
        for number in range(count):
            address = self._addresses[(start + number) % count]
            try:
                return await self._ask_one(address, question)
            except NSQError as error:
                failures.append(f"failed to auth against {address} - {error}")
        raise AuthServerError("; ".join(failures))

    async def _ask_one(self, address: HttpAddress, question: Question) -> Grant:
        if self._post:
            call = Call("POST", "", self._read, body=question.encode_json(), headers=_JSON, refused=_refused)
        else:
            # In the address, and not among the parameters: error texts show those, and the secret is one.
            query = "&".join(filter(None, (address.query, question.encode_query())))
            address = replace(address, query=query)
            call = Call("GET", "", self._read, refused=_refused)
        return await self._exchange.call(call, address)

    def _read(self, answer: Answer) -> Grant:
        return parse_grant(json_object(answer), self._now())


_JSON = {"Content-Type": "application/json"}


def auth_address(text: str) -> HttpAddress:
    """Where an auth server is: a URL as it stands, or `host:port`, which means `http://host:port/auth`."""
    complete = text if "://" in text else f"http://{text}/auth"
    address = parse_http_address(complete, "auth server", "127.0.0.1:4181 or https://auth.example/check")
    if complete.partition("?")[0].endswith("/") or not address.path:
        address = replace(address, path=address.path + "/")
    return address


def _refused(answer: Answer) -> Exception | None:
    """Any status but 200 is a failure."""
    return None if answer.status == 200 else AuthServerError(f"got response {answer.status} {answer.excerpt}")
