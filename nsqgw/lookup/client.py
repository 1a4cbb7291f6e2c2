"""One question to one nsqlookupd (nsqlookupd section 6, client-behaviour section 3).

Whatever an nsqlookupd answers, the outcome is a value or a DiscoveryError. The answers of versions before
1.0, wrapped in `{"status_code": ..., "data": ...}`, are understood.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from nsqgw.config import USER_AGENT
from nsqgw.errors import ConfigError, DiscoveryError
from nsqgw.lookup.http_get import HttpAnswer, http_get
from nsqgw.protocol.names import is_valid_name

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Room for some 15000 producers."""

_HEADERS = {"Accept": "application/vnd.nsq; version=1.0", "User-Agent": USER_AGENT}
_CONTENT_TYPE = "X-NSQ-Content-Type"
_V1 = "nsq; version=1.0"
_HOST_NAME = re.compile(r"[^\s/\[\]@:?#%]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an nsqlookupd knows of a topic; `malformed` counts the producers left out as senseless."""

    nsqd_tcp_addresses: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    malformed: int = 0


def lookup_url(address: str) -> SplitResult:
    """The URL to ask, without the topic: `host:port`, or a URL whose path and parameters are kept.

    ConfigError when `address` is neither.
    """
    remedy = "write host:port or a URL, for example 127.0.0.1:4161"
    if not isinstance(address, str):
        raise ConfigError(f"nsqlookupd address {address!r} must be a str: {remedy}")
    try:
        url = urlsplit(address if "://" in address else f"http://{address}")
        port = url.port
    except ValueError as error:
        raise ConfigError(f"nsqlookupd address {address!r} is not valid ({error}): {remedy}") from error
    if url.scheme not in ("http", "https") or not url.hostname or re.search(r"[\s\x00-\x1f]", address):
        raise ConfigError(f"nsqlookupd address {address!r} is not valid: {remedy}")
    if url.username is not None:
        raise ConfigError(f"nsqlookupd address of {url.hostname}: no user name can be in it: {remedy}")
    if not port and "://" not in address:
        raise ConfigError(f"nsqlookupd address {address!r} has no port: {remedy}")
    path = url.path if url.path.strip("/") else "/lookup"
    return url._replace(path=path, fragment="")


async def lookup(url: SplitResult, topic: str, *, timeout: float) -> Answer:
    """Ask the nsqlookupd at `url` (from `lookup_url`) for `topic`.

    A topic it does not know gives an empty Answer. Takes at most `timeout` seconds. Raises DiscoveryError,
    whose text says what went wrong.
    """
    parameters = urlencode({"topic": topic})
    query = f"{url.query}&{parameters}" if url.query else parameters
    return read_answer(await _get(url._replace(query=query), timeout))


async def channels(address: str, topic: str, *, timeout: float) -> frozenset[str]:
    """The channels the nsqlookupd at `address` (`host:port`) knows for `topic`: what nsqd asks.

    Takes at most `timeout` seconds. Raises DiscoveryError, whose text says what went wrong.
    """
    url = lookup_url(address)._replace(path="/channels", query=urlencode({"topic": topic}))
    answer = await _get(url, timeout)
    document = _document(answer)
    if answer.status != 200 or not isinstance(document.get("channels"), list):
        raise DiscoveryError(f"answered {answer.status} without channels: {_excerpt(answer.body)}")
    return _names(document["channels"])


async def _get(url: SplitResult, timeout: float) -> HttpAnswer:
    return await http_get(url, _HEADERS, timeout=timeout, max_bytes=MAX_ANSWER_BYTES)


def read_answer(answer: HttpAnswer) -> Answer:
    """What an HTTP answer to /lookup means; DiscoveryError when it is none."""
    document = _document(answer)
    # Old versions answer an unknown topic with 500, newer ones with 404.
    if "TOPIC_NOT_FOUND" in (document.get("message"), document.get("status_txt")):
        return Answer()
    if answer.status != 200:
        raise DiscoveryError(f"answered {answer.status}: {_excerpt(answer.body)}")
    producers = document.get("producers")
    if not isinstance(producers, list):
        raise DiscoveryError(f"answered without producers: {_excerpt(answer.body)}")
    addresses = [_producer_address(producer) for producer in producers]
    return Answer(
        nsqd_tcp_addresses=frozenset(address for address in addresses if address is not None),
        channels=_names(document.get("channels")),
        malformed=addresses.count(None),
    )


def _document(answer: HttpAnswer) -> dict[str, Any]:
    """The JSON object of an answer, unwrapped when an old version wrapped it."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise DiscoveryError(f"answered {answer.status} and no JSON: {_excerpt(answer.body)}") from error
    if not isinstance(document, dict):
        raise DiscoveryError(f"answered {answer.status} and no JSON object: {_excerpt(answer.body)}")
    wrapped = document.get("data")
    if answer.headers.get(_CONTENT_TYPE) != _V1 and isinstance(wrapped, dict):
        return wrapped
    return document


def _names(values: Any) -> frozenset[str]:
    """The topic or channel names in a list; what cannot be one is left out."""
    if not isinstance(values, list):
        return frozenset()
    return frozenset(name for name in values if isinstance(name, str) and is_valid_name(name))


def _producer_address(producer: Any) -> str | None:
    """`host:port` of one producer, an IPv6 host in brackets; None when it makes no sense."""
    if not isinstance(producer, dict):
        return None
    host = producer.get("broadcast_address") or producer.get("address")  # `address` before 0.2.22
    port = producer.get("tcp_port")
    if not isinstance(host, str) or type(port) is not int or not 0 < port < 65536:
        return None
    if _is_ipv6(host.strip("[]")):
        return f"[{host.strip('[]')}]:{port}"
    return f"{host}:{port}" if _HOST_NAME.fullmatch(host) else None


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _excerpt(body: bytes) -> str:
    """The start of a body, fit for one line."""
    text = body[:100].decode("utf-8", "replace")
    return repr(text + "..." if len(body) > 100 else text)
