"""The measure of what a delivery costs: every server in it serves a small audience and has its figures."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_every_server_has_its_figures() -> None:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler: apt-get install gcc")
    done = subprocess.run(
        [sys.executable, "-m", "perf.push", "--sockets=20", "--idle-sockets=20", "--runs=1"],
        cwd=ROOT,
        env={"PYTHONPATH": "tests", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    costs = [line.split("|")[1:-1] for line in done.stdout.splitlines() if "push" in line and "(" in line]
    assert [name.strip() for name, *_ in costs] == ["nsqgw push", "nsqgw push on uvloop"]
    for _, *figures, kept in costs:
        assert all(float(figure.split()[0]) > 0 for figure in figures)
        assert float(kept) > 0
