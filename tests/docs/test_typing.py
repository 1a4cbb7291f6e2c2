"""The public API as type checkers see it, and the examples held against it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("examples/*.py"))
UNTYPED = ["--allow-untyped-defs", "--allow-untyped-calls", "--scripts-are-modules"]


@pytest.mark.parametrize("arguments", [["tests/typing/uses.py"], UNTYPED + EXAMPLES], ids=["api", "examples"])
def test_mypy_finds_what_it_should(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stdout) == (0, "")
