"""The measure of how old messages are at browsers: it runs, and counts every message."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.real import require

ROOT = Path(__file__).parents[3]


def test_all_messages_come_and_have_an_age() -> None:
    require("nsqd")
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler: apt-get install gcc")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "perf.push.latency",
            "--sockets=50",
            "--seconds=1",
            "--rounds=1",
            "--part=0.1",
        ],
        cwd=ROOT,
        env={"PYTHONPATH": "tests", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    crowd, alone, together, ratio = done.stdout.splitlines()[4:]
    assert "| 500 of 500 |" in crowd
    assert re.search(r"\d ms", alone)
    assert re.search(r"\d ms", together)
    assert re.search(r"\| \d+\.\d\d \|", ratio)
