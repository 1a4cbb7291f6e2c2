"""Byte streams cut into reads."""

from __future__ import annotations

from itertools import pairwise


def cut(data: bytes, positions: list[int]) -> list[bytes]:
    """`data` cut at these positions, which may be any numbers; pieces may be empty."""
    edges = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]
