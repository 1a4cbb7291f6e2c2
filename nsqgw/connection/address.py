"""Addresses of nsqds as people write them: `host:port`, `[::1]:4150`, or the path of a unix socket."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nsqgw.errors import ConfigError

_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<ipv6>[^\[\]\s\0]+)\]|(?P<name>[^\[\]\s\0]+)):(?P<port>[0-9]{1,5})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host, by name or number, and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket in the file system."""

    path: str


def parse_address(text: str) -> TcpAddress | UnixAddress:
    """What `text` means; ConfigError when it is neither `host:port` nor a path (anything with a slash)."""
    if not isinstance(text, str):
        raise ConfigError(f"address {text!r} must be a str like '127.0.0.1:4150'")
    scheme, separator, _ = text.partition("://")
    if separator:
        raise ConfigError(f"address {text!r} must be host:port: leave out '{scheme}://'")
    if "/" in text and "\0" not in text:
        return UnixAddress(text)
    parts = _HOST_AND_PORT.fullmatch(text)
    if parts is None or not 0 < int(parts["port"]) < 65536:
        raise ConfigError(f"address {text!r} is not of the form host:port, for example 127.0.0.1:4150")
    if parts["name"] and ":" in parts["name"]:
        raise ConfigError(f"address {text!r}: write an IPv6 address in brackets, for example [::1]:4150")
    return TcpAddress(parts["name"] or parts["ipv6"], int(parts["port"]))


def address_list(name: str, value: Iterable[str]) -> tuple[str, ...]:
    """The argument `name` as a tuple, ConfigError when it is no list; the addresses are not looked at."""
    if isinstance(value, str):
        raise ConfigError(f"{name} = {value!r} must be a list of addresses, like [{value!r}]")
    if not isinstance(value, Iterable):
        raise ConfigError(f"{name} = {value!r} must be a list of addresses")
    return tuple(value)


def tell_problems(addresses: Iterable[str], problems: Mapping[str, str | Exception]) -> str:
    """Each address and what went wrong there, on one line."""
    told = []
    for address in dict.fromkeys([*addresses, *problems]):
        text = str(problems.get(address, "no answer yet"))
        told.append(text if text.startswith(f"{address}: ") else f"{address}: {text}")
    return "; ".join(told)
