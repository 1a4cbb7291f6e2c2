"""One broker for all tests here; each uses topics of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from compat.threaded import ThreadedNsqd

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def broker() -> Iterator[ThreadedNsqd]:
    with ThreadedNsqd() as daemon:
        assert isinstance(daemon, ThreadedNsqd)
        yield daemon


@pytest.fixture
def topic() -> str:
    return f"loop-{next(_numbers)}"
