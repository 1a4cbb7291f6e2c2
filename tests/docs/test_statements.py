"""Every numbered statement on the daemons has tests that carry its number, on ours and on the originals.

The numbers are those of four lists of statements: the TCP protocol, nsqd's HTTP API, nsqlookupd, and what of
nsqd's inside can be seen. pytest is asked which tests there are, so rows of tables count, and on which kind
each runs.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

STATEMENTS = {"TCP": 60, "HTTP": 28, "LKD": 24, "NSQD": 22}
"""List -> its last number; each begins with 1."""

KINDS = {"compat", "real"}

_NAMES = re.compile(r"c_(tcp|http|lkd|nsqd)((?:_\d+)+)")


def statements_in(text: str) -> set[str]:
    """`test_c_tcp_43_44_...` names C-TCP-43 and C-TCP-44."""
    return {
        f"C-{area.upper()}-{number}"
        for area, numbers in _NAMES.findall(text)
        for number in re.findall(r"\d+", numbers)
    }


def all_statements() -> set[str]:
    return {f"C-{area}-{number}" for area, last in STATEMENTS.items() for number in range(1, last + 1)}


@pytest.fixture(scope="module")
def kinds() -> dict[str, set[str]]:
    """Statement -> on which kinds of daemons it is tested."""
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
    asked = subprocess.run(
        [*command, TESTS / "conformance"],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.returncode == 0, asked.stdout
    found = defaultdict(set)
    for line in asked.stdout.splitlines():
        test, _, parameters = line.partition("::")[2].partition("[")
        for statement in statements_in(test + parameters):
            found[statement] |= KINDS & set(parameters.rstrip("]").split("-"))
    return found


def test_every_statement_is_tested_on_both_kinds_of_daemons(kinds: dict[str, set[str]]) -> None:
    assert {each: KINDS - kinds[each] for each in all_statements() if kinds[each] != KINDS} == {}


def test_no_test_carries_a_number_there_is_none_of() -> None:
    carried = {
        each
        for path in TESTS.rglob("test_*.py")
        if path != Path(__file__)
        for each in statements_in(path.read_text())
    }
    assert carried <= all_statements()
