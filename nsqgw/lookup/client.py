"""One question to one nsqlookupd (nsqlookupd section 6, client-behaviour section 3).

Whatever an nsqlookupd answers, the outcome is a value or a DiscoveryError. It is read with more patience than
`nsqgw.http` has: a senseless producer is left out, and producers are understood as they were before 1.0.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from nsqgw.errors import DiscoveryError, HttpError, NSQError
from nsqgw.http.address import HttpAddress, host_and_port, parse_http_address
from nsqgw.http.answer import Answer, error_code, json_object, refusal
from nsqgw.http.call import Call
from nsqgw.http.exchange import Exchange
from nsqgw.protocol.names import is_valid_name

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Room for some 15000 producers."""

_HOST_NAME = re.compile(r"[^\s/\[\]@:?#%]+")


@dataclass(frozen=True, slots=True)
class Found:
    """What an nsqlookupd knows of a topic; `malformed` counts the producers left out as senseless."""

    nsqd_tcp_addresses: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    malformed: int = 0


def lookup_address(text: str) -> HttpAddress:
    """Where to ask: `host:port`, or a URL whose path, if it has one, is asked in place of /lookup.

    ConfigError when `text` is neither.
    """
    return parse_http_address(text, "nsqlookupd", "127.0.0.1:4161")


async def lookup(exchange: Exchange, address: HttpAddress, topic: str) -> Found:
    """Ask the nsqlookupd at `address` for `topic`; nothing is found of a topic it does not know.

    Raises DiscoveryError, whose text says where and what went wrong.
    """
    path = "" if address.path else "/lookup"
    try:
        return await exchange.call(Call("GET", path, read, {"topic": topic}, refused=refused), address)
    except NSQError as error:
        raise DiscoveryError(str(error)) from error


def refused(answer: Answer) -> HttpError | None:
    """The error an answer means. To know nothing is none: old versions say so with 500, newer with 404."""
    return None if _unknown(answer) else refusal(answer)


def read(answer: Answer) -> Found:
    """What an answer means; BadAnswer when it makes no sense."""
    if _unknown(answer):
        return Found()
    document = json_object(answer)
    producers = document.get("producers")
    if not isinstance(producers, list):
        raise answer.bad("without producers")
    addresses = [_producer_address(producer) for producer in producers]
    return Found(
        nsqd_tcp_addresses=frozenset(address for address in addresses if address is not None),
        channels=_names(document.get("channels")),
        malformed=addresses.count(None),
    )


def _unknown(answer: Answer) -> bool:
    return error_code(answer) == "TOPIC_NOT_FOUND"


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
    host = host.strip("[]")
    return host_and_port(host, port) if _is_ipv6(host) or _HOST_NAME.fullmatch(host) else None


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
