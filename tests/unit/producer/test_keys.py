"""Keys spread evenly over nsqds, whatever they and the addresses look like, and move only when they must."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsqgw.producer.keys import owner

CLUSTERS = {
    "numbers": [f"10.0.0.{host}:4150" for host in range(1, 4)],
    "more numbers": [f"10.0.0.{host}:4150" for host in range(1, 9)],
    "names": [f"nsqd-{number}:4150" for number in range(6)],
    "ports": [f"127.0.0.1:{4150 + 2 * number}" for number in range(5)],
    "sockets": [f"/var/run/{'long/' * 30}nsqd{number}.sock" for number in range(2)],
}
ADDRESSES = st.lists(st.sampled_from(CLUSTERS["more numbers"]), min_size=2, unique=True)


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS.keys())
@pytest.mark.parametrize("form", [b"%d", b"%08d", b"user:%d:events"])
def test_keys_that_count_up_spread_evenly(cluster: list[str], form: bytes) -> None:
    count = 2000 * len(cluster)
    shares = Counter(owner(form % number, cluster) for number in range(count))
    assert all(0.85 < shares[address] / 2000 < 1.15 for address in cluster), shares


@given(ADDRESSES, st.binary())
def test_the_order_of_addresses_does_not_matter(addresses: list[str], key: bytes) -> None:
    assert owner(key, addresses) == owner(key, reversed(addresses))


@given(ADDRESSES, st.binary())
def test_only_the_keys_of_who_leaves_move(addresses: list[str], key: bytes) -> None:
    before = owner(key, addresses)
    for gone in addresses:
        left = [address for address in addresses if address != gone]
        assert (owner(key, left) == before) == (gone != before)


def test_nobody_there() -> None:
    assert owner(b"key", []) is None
