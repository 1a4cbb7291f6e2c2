"""How many connections an address and a user may have, and how fast an address may open them.

A house or a phone has a whole /64 of IPv6, so that is what counts as one address. Buckets that are full
again are forgotten, and the table of them has a bound: what is used longest ago goes first. Pure: the
caller brings the address and the time.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

MAX_BUCKETS = 65_536
"""Addresses whose connect rate is known; about 12 MiB."""


@dataclass(frozen=True)
class ArrivalLimits:
    """Bounds by address and by user; 0 is none. This machine's own addresses are not counted."""

    connections_per_address: int = 512
    connect_rate: float = 50.0
    """Connections a second from one address, in the long run."""
    connect_burst: int = 500
    """Connections an address may open at once."""
    connections_per_user: int = 64


def address_key(text: str) -> str | None:
    """What `text`, an IP address, is counted under: None for this machine's and for what is no address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is None:
            return None if address.is_loopback else str(ip_network((int(address), 64), strict=False))
        address = mapped
    return None if address.is_loopback else str(address)


class Arrivals:
    """Counts of what is open, and the token buckets of addresses."""

    def __init__(self, limits: ArrivalLimits) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._users: Counter[str] = Counter()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Addresses and users with connections, and buckets: what is held in memory."""
        return len(self._open), len(self._users), len(self._buckets)

    def arrive(self, key: str, now: float) -> str | None:
        """Count a connection from `key`; where it is one too many, why, and nothing is counted."""
        limits = self._limits
        if limits.connections_per_address and self._open[key] >= limits.connections_per_address:
            return f"too many connections from your address, at most {limits.connections_per_address}"
        if limits.connect_rate and not self._take(key, now):
            return f"too many connections a second from your address, at most {limits.connect_rate:g}"
        self._open[key] += 1
        return None

    def take_over(self, other: Arrivals) -> None:
        """Go on with the books of `other`, by the limits here."""
        self._open, self._users, self._buckets = other._open, other._users, other._buckets

    def leave(self, key: str) -> None:
        """A connection that `arrive` counted is gone."""
        _less(self._open, key)

    def add_user(self, user: str) -> bool:
        """Count a connection of `user`; False, and not counted, where it is one too many."""
        most = self._limits.connections_per_user
        if most and self._users[user] >= most:
            return False
        self._users[user] += 1
        return True

    def remove_user(self, user: str) -> None:
        """A connection that `add_user` counted is gone, or has another user."""
        _less(self._users, user)

    def _take(self, key: str, now: float) -> bool:
        burst = float(self._limits.connect_burst)
        tokens, at = self._buckets.pop(key, (burst, now))
        tokens = min(burst, tokens + (now - at) * self._limits.connect_rate)
        taken = tokens >= 1
        self._buckets[key] = (tokens - 1 if taken else tokens, now)
        self._forget(now)
        return taken

    def _forget(self, now: float) -> None:
        """Let go of buckets that are full again, a few at a time, and of the oldest of too many."""
        refill = self._limits.connect_burst / self._limits.connect_rate
        for _ in range(2):
            key, (_, at) = next(iter(self._buckets.items()))
            if now - at < refill and len(self._buckets) <= MAX_BUCKETS:
                break
            del self._buckets[key]
            if not self._buckets:
                break


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
