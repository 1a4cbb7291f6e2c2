"""One question to one nsqlookupd: who has a topic, which nsqds or topics there are (nsqlookupd section 6).

Whatever an nsqlookupd answers, the outcome is a value or a DiscoveryError. It is read with more patience than
`nsqgw.http` has: a senseless producer is left out, and producers are understood as they were before 1.0.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from nsqgw.errors import BadAnswer, ConnectionClosed, DiscoveryError, HttpError, NSQError
from nsqgw.http.address import HttpAddress, host_and_port, parse_http_address
from nsqgw.http.answer import Answer, error_code, json_object, refusal
from nsqgw.http.call import Call
from nsqgw.http.exchange import Exchange
from nsqgw.protocol.names import check_topic, is_valid_name

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Room for some 15000 producers."""

_WRONG_PORT = "; is it nsqlookupd's HTTP port (4161 by default)?"

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


@dataclass(frozen=True, slots=True)
class Names:
    """An answer: addresses or names, and how many entries were left out as senseless."""

    values: frozenset[str]
    malformed: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What an nsqlookupd is asked, and how its answer is read; `text` says it in logs."""

    text: str
    path: str
    read: Callable[[Answer], Names]
    parameters: Mapping[str, str] = field(default_factory=dict)


def who_has(topic: str) -> Question:
    """The nsqds that have `topic`, by `host:port`; InvalidName when it is none."""
    parameters = {"topic": check_topic(topic)}
    return Question(f"who has topic {topic}", "/lookup", _read_holders, parameters)


def all_nsqds() -> Question:
    """Every nsqd that is alive, by `host:port`; those that hide for a topic (tombstones) too."""
    return Question("which nsqds there are", "/nodes", _read_nodes)


def all_topics() -> Question:
    """The names of all topics, those without an nsqd too."""
    return Question("which topics there are", "/topics", _read_topics)


async def ask(exchange: Exchange, address: HttpAddress, question: Question) -> Names:
    """Ask the nsqlookupd at `address`; nothing is found of a topic it does not know.

    Raises DiscoveryError, whose text says where and what went wrong.
    """
    path = question.path
    if path == "/lookup" and address.path:
        path = ""
    else:
        address = replace(address, path=address.path.removesuffix("/lookup"))
    try:
        call = Call("GET", path, question.read, question.parameters, refused=refused)
        return await exchange.call(call, address)
    except NSQError as error:
        hint = _WRONG_PORT if _speaks_otherwise(error) else ""
        raise DiscoveryError(f"{error}{hint}") from error


def _speaks_otherwise(error: NSQError) -> bool:
    """Whether somebody is there who may be another: nsqd's HTTP port says 404, TCP ports hang up."""
    if isinstance(error, HttpError):
        return error.status == HTTPStatus.NOT_FOUND
    return isinstance(error, BadAnswer | ConnectionClosed)


def refused(answer: Answer) -> HttpError | None:
    """The error an answer means. To know nothing is none: old versions say so with 500, newer with 404."""
    return None if _unknown(answer) else refusal(answer)


def read(answer: Answer) -> Found:
    """What an answer means; BadAnswer when it makes no sense."""
    if _unknown(answer):
        return Found()
    document = json_object(answer)
    nodes = _nodes(answer, document)
    return Found(nodes.values, _names(document.get("channels")), nodes.malformed)


def _read_holders(answer: Answer) -> Names:
    found = read(answer)
    return Names(found.nsqd_tcp_addresses, found.malformed)


def _read_nodes(answer: Answer) -> Names:
    return _nodes(answer, json_object(answer))


def _read_topics(answer: Answer) -> Names:
    topics = json_object(answer).get("topics")
    if not isinstance(topics, list):
        raise answer.bad("without topics")
    names = _names(topics)
    return Names(names, sum(not (isinstance(name, str) and name in names) for name in topics))


def _nodes(answer: Answer, document: dict[str, Any]) -> Names:
    producers = document.get("producers")
    if not isinstance(producers, list):
        raise answer.bad("without producers")
    addresses = [_producer_address(producer) for producer in producers]
    known = frozenset(address for address in addresses if address is not None)
    return Names(known, addresses.count(None))


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
