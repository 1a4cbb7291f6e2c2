"""Valid byte streams made wrong at random, and time to try many of them. No coverage guides it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence

SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))
"""For all targets of a file together."""

SOAK = 600
"""From so many seconds on it is a soak."""

ENOUGH = 10_000_000
"""Bytes that what listens is tried with in a soak."""

TELLING = [0, 1, 2, 4, 26, 30, 0x7F, 0xFF, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
"""Values that lengths, types and counts go wrong with."""


class Mutator:
    """Cases from golden streams; `seed` alone decides which. `tried` counts their bytes."""

    def __init__(self, golden: Sequence[bytes], seed: int) -> None:
        self.seed = seed
        self.tried = 0
        self._golden = golden
        self._random = random.Random(seed)

    def case(self) -> list[bytes]:
        """One stream, cut into reads."""
        data = bytearray(self._random.choice(self._golden))
        for _ in range(self._random.choice((0, 1, 1, 2, 3, 8))):
            self._mutate(data)
        self.tried += len(data)
        return self._cut(bytes(data))

    def _mutate(self, data: bytearray) -> None:
        pick = self._random
        at = pick.randrange(len(data) + 1)
        size = min(pick.choice((1, 2, 4, 16, 300)), len(data) - at)
        how = pick.randrange(7)
        if how == 0 and at < len(data):
            data[at] ^= 1 << pick.randrange(8)
        elif how == 1:
            data[at : at + 4] = pick.choice(TELLING).to_bytes(4, "big")
        elif how == 2:
            del data[at : at + size]
        elif how == 3:
            data[at:at] = pick.randbytes(size)
        elif how == 4:
            data[at:at] = data[at : at + size] * pick.choice((1, 2, 50))
        elif how == 5:
            other = pick.choice(self._golden)
            start = pick.randrange(len(other) + 1)
            data[at:at] = other[start : start + 300]
        else:
            del data[at:]

    def _cut(self, data: bytes) -> list[bytes]:
        longest = self._random.choice((1, 7, 100, 5000, len(data) + 1))
        if longest == 1 and len(data) > 3000:
            longest = 50
        pieces, position = [], 0
        while position < len(data):
            size = self._random.randint(1, longest)
            pieces.append(data[position : position + size])
            position += size
        return pieces


def mutators(golden: Sequence[bytes], share: float, in_soak: int = 0) -> Iterator[Mutator]:
    """For as long as this share of the time allows; FUZZ_SEED gives just that one.

    A soak has `in_soak` bytes tried, if it takes longer, too.
    """
    if given := os.environ.get("FUZZ_SEED"):
        yield Mutator(golden, int(given))
        return
    tried, end = 0, time.monotonic() + SECONDS * share
    while time.monotonic() < end or (SECONDS >= SOAK and tried < in_soak):
        mutator = Mutator(golden, random.randrange(2**32))
        yield mutator
        tried += mutator.tried
