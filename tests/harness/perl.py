"""The Perl programs in tests/perl, and whether this machine has the modules they need."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[1] / "perl"
LIBRARY = PROGRAMS / "lib"


@functools.cache
def _has(module: str) -> bool:
    return (
        subprocess.run(["perl", f"-M{module}", "-e", "1"], capture_output=True, check=False).returncode == 0
    )


def require_perl(*modules: str) -> None:
    """Skips the test where Perl or one of its modules is missing (in CI a skip is a failure)."""
    if shutil.which("perl") is None:
        pytest.skip("no perl: apt-get install perl")
    for module in modules:
        if not _has(module):
            pytest.skip(f"Perl's {module} is missing: make system-packages")


def perl(*arguments: str) -> str:
    """Run Perl with these arguments in tests/perl to its end; what it printed."""
    command = ["perl", *arguments]
    done = subprocess.run(command, cwd=PROGRAMS, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    assert done.stderr == "", f"{command}: {done.stderr}"
    return done.stdout
