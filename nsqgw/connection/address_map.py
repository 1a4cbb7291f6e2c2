"""Addresses as nsqlookupd advertises them, exchanged for those that can be reached from here.

Behind Docker or Kubernetes an nsqd often advertises a name that only its neighbours can resolve.
"""

from __future__ import annotations

from collections.abc import Mapping

from nsqgw.connection.address import TcpAddress, parse_address
from nsqgw.errors import ConfigError


class AddressMap:
    """From `host:port` to `host:port`, or from a host to another host with the port kept; the former wins.

    ConfigError names an entry that is neither.
    """

    def __init__(self, entries: Mapping[str, str] | None) -> None:
        if entries is not None and not isinstance(entries, Mapping):
            raise ConfigError(f"address_map = {entries!r} must be a mapping of addresses")
        self._entries = dict(entries or {})
        for advertised, reachable in self._entries.items():
            has_port = isinstance(advertised, str) and _port(advertised) is not None
            if not isinstance(reachable, str) or has_port != (_port(reachable) is not None):
                raise ConfigError(
                    f"address_map: {advertised!r}: {reachable!r} must be host:port for host:port, "
                    "or host for host"
                )

    def __call__(self, advertised: str) -> str:
        """Where to connect to; an address without an entry is its own."""
        if advertised in self._entries:
            return self._entries[advertised]
        host, _, port = advertised.rpartition(":")
        return f"{self._entries[host]}:{port}" if host in self._entries else advertised


def _port(text: str) -> int | None:
    try:
        address = parse_address(text)
    except ConfigError:
        return None
    return address.port if isinstance(address, TcpAddress) else None
