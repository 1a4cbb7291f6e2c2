"""Addresses of nsqds as people write them: `host:port`, `[::1]:4150`, or the path of a unix socket."""

from __future__ import annotations

from dataclasses import dataclass

from nsqgw.errors import ConfigError


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
    if "/" in text and "://" not in text:
        return UnixAddress(text)
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"address {text!r} is not of the form host:port, for example 127.0.0.1:4150")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"address {text!r}: write an IPv6 address in brackets, for example [::1]:4150")
    return TcpAddress(host, int(port))
