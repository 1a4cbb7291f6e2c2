"""The comparison of brokers: every row runs on both, on a part of its messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.real import require

ROOT = Path(__file__).parents[3]


# the clock of a process's CPU ticks a hundred times a second: less work than these parts may take none of it
PARTS = {"one by one": 0.001, "MPUB": 0.02, "million": 0.001, "idle": 0.001, "disk": 0.001}


@pytest.mark.parametrize("row", PARTS)
def test_every_row_has_a_ratio(row: str) -> None:
    require("nsqd")
    done = subprocess.run(
        [sys.executable, "-m", "perf.brokers", "--runs", "1", "--part", str(PARTS[row]), "--only", row],
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
