"""An nsqd of the test's own, and a config file that reads from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.embedded import EmbeddedNsqd
from harness.ship_file import CONFIG


@pytest.fixture
def nsqd() -> Iterator[EmbeddedNsqd]:
    with closing(EmbeddedNsqd()) as daemon:
        daemon.start()
        yield daemon


@pytest.fixture
def file(nsqd: EmbeddedNsqd, tmp_path: Path) -> Path:
    file = tmp_path / "ship.toml"
    file.write_text(CONFIG.format(nsqd=nsqd.tcp_address, folder=tmp_path))
    return file
