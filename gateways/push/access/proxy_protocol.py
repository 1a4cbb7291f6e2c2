"""The PROXY protocol, versions 1 and 2: what a proxy says about a connection before its first byte.

Pure: bytes in, the address of the client out. Nothing but TCP over IPv4 and IPv6 names an address; what a
proxy says of itself (`UNKNOWN`, `LOCAL`) names none.
"""

from __future__ import annotations

import re
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD = struct.Struct("!12sBBH")
_V1_MAX = 107
_V2_MAX = 1024
"""Bytes of a header with its extensions, which are passed over."""
_LINE = re.compile(rb"PROXY (?:TCP[46] (\S+) \S+ \d{1,5} \d{1,5}|UNKNOWN[^\r\n]*)\r\n")


class BadProxyHeader(Exception):
    """What came is no header of this protocol."""


class ProxyHeader(NamedTuple):
    """The client's address, or None where the proxy speaks for itself; and the header's length."""

    client: str | None
    length: int


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header `data` begins with; None while it is not complete; BadProxyHeader when it is none."""
    if data.startswith(_V2[: len(data)]):
        return _read_v2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _read_v1(data)
    raise BadProxyHeader("no PROXY header")


def _read_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _V1_MAX)
    if end < 0:
        if len(data) >= _V1_MAX:
            raise BadProxyHeader("the PROXY line has no end")
        return None
    match = _LINE.fullmatch(data, 0, end + 2)
    if match is None:
        raise BadProxyHeader("the PROXY line is malformed")
    client = match[1]
    try:
        return ProxyHeader(str(ip_address(client.decode())) if client else None, end + 2)
    except ValueError:
        raise BadProxyHeader("the PROXY line has no address") from None


def _read_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_HEAD.size:
        return None
    _, command, family, length = _V2_HEAD.unpack_from(data)
    size = _V2_HEAD.size + length
    if command not in (0x20, 0x21) or size > _V2_MAX:
        raise BadProxyHeader("the PROXY header is malformed")
    if len(data) < size:
        return None
    body = data[_V2_HEAD.size : size]
    if command == 0x20 or family not in (0x11, 0x21):
        return ProxyHeader(None, size)
    if len(body) < (12 if family == 0x11 else 36):
        raise BadProxyHeader("the PROXY header has no addresses")
    client = IPv4Address(body[:4]) if family == 0x11 else IPv6Address(body[:16])
    return ProxyHeader(str(client), size)
