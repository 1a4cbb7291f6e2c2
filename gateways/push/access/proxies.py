"""Whom a connection comes from where proxies stand before the gateway.

What `X-Forwarded-For` says is believed of proxies on a list only: read from its end, entries of trusted
proxies are passed over, and the first other address is the client. No socket in here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from nsqgw.errors import ConfigError

MAX_FORWARDED = 32
"""Entries of X-Forwarded-For that are looked at."""


class TrustedProxies:
    """`networks` are addresses or networks such as `10.0.0.0/8`; ConfigError names the one that is none."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(map(_network, networks))

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trust(self, address: str) -> bool:
        """Whether what comes from `address` may say whom it comes for."""
        if not self._networks:
            return False
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)

    def client(self, peer: str, forwarded: str) -> str:
        """The address of who stands before the trusted proxies, `peer` the last of them."""
        client = peer
        for entry in reversed(forwarded.split(",")[-MAX_FORWARDED:]):
            address = entry.strip().removeprefix("[").removesuffix("]")
            try:
                ip_address(address)
            except ValueError:
                break  # nothing before it can be believed
            client = address
            if not self.trust(client):
                break
        return client

    def forwarded_secure(self, headers: Mapping[str, str]) -> bool:
        """Whether the trusted proxy was reached by TLS."""
        return headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower() == "https"


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ConfigError(
            f"trusted proxy {text!r} is not valid: write an address or a network, such as 10.0.0.0/8"
        ) from None
