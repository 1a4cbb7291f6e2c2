"""What is wrapped as a snappy block is read by snappy, whatever it is."""

from __future__ import annotations

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.ship.sinks.snappy_block import block_packer, wrapped


@given(st.binary(max_size=1000))
def test_small_ones(data: bytes) -> None:
    assert bytes(cramjam.snappy.decompress_raw(wrapped(data))) == data


@pytest.mark.parametrize("size", [0, 1, 60, 61, 65_535, 65_536, 65_537, 300_000])
def test_at_the_edges_of_literals(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for pack in (wrapped, block_packer()):
        assert bytes(cramjam.snappy.decompress_raw(pack(data))) == data
