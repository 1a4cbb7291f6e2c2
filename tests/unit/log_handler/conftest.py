"""Spools whose files are closed with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nsqgw.log_handler.spool import Spool


@pytest.fixture
def spool_of(tmp_path: Path) -> Iterator[Callable[[int], Spool]]:
    """Opens the spool of this test with a bound; its files are closed with the test."""
    opened: list[Spool] = []

    def open_spool(max_bytes: int) -> Spool:
        opened.append(Spool(tmp_path, max_bytes))
        return opened[-1]

    yield open_spool
    for spool in opened:
        spool.close()
