"""The comparison of brokers: every row runs on both, on a part of its messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.real import require

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("row", ["one by one", "MPUB", "million", "idle", "disk"])
def test_every_row_has_a_ratio(row: str) -> None:
    require("nsqd")
    done = subprocess.run(
        [sys.executable, "-m", "perf.brokers", "--runs", "1", "--part", "0.001", "--only", row],
        cwd=ROOT,
        env={"PYTHONPATH": "tests", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines()[:1] if line.startswith("| ")]
    ours, theirs, ratio, wanted = [cell.strip() for cell in line.strip("| ").split("|")][2:]
    assert float(ours.replace(",", "")) > 0
    assert float(theirs.replace(",", "")) > 0
    assert ratio.partition("x")[0]
    assert wanted.startswith(("at most", "at least"))
