"""Which nsqd a key belongs to: rendezvous hashing, pure.

Every nsqd draws a number for a key, and the largest has it. When one comes or goes only the keys move that
must. The hash has to mix well: with a checksum like CRC, keys that count up all favour the same few.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b


def owner(key: bytes, addresses: Iterable[str]) -> str | None:
    """The one of `addresses` that `key` belongs to, in whatever order they come; None when there are none."""
    return max(addresses, key=lambda address: _draw(key, address), default=None)


def _draw(key: bytes, address: str) -> bytes:
    return blake2b(key, digest_size=8, key=_salt(address)).digest()


@lru_cache(maxsize=1024)
def _salt(address: str) -> bytes:
    return blake2b(address.encode(), digest_size=16).digest()
