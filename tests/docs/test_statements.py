"""Every numbered statement on the daemons has a test that carries its number, or conformance.md names it.

The numbers are those of four lists of statements: the TCP protocol, nsqd's HTTP API, nsqlookupd, and what of
nsqd's inside can be seen.
"""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
CONFORMANCE = TESTS.parent / "docs" / "conformance.md"

STATEMENTS = {"TCP": 60, "HTTP": 28, "LKD": 24, "NSQD": 22}
"""List -> its last number; each begins with 1."""

_NAMES = re.compile(r"c[_-](tcp|http|lkd|nsqd)((?:[_-]\d+)+)", re.IGNORECASE)


def statements_in(text: str) -> set[str]:
    """`test_c_tcp_43_44_...` names C-TCP-43 and C-TCP-44."""
    return {
        f"C-{area.upper()}-{number}"
        for area, numbers in _NAMES.findall(text)
        for number in re.findall(r"\d+", numbers)
    }


def all_statements() -> set[str]:
    return {f"C-{area}-{number}" for area, last in STATEMENTS.items() for number in range(1, last + 1)}


def carried() -> set[str]:
    files = (path for path in TESTS.rglob("test_*.py") if path != Path(__file__))
    return set().union(*(statements_in(path.read_text()) for path in files))


def test_every_statement_has_a_test_or_is_named_as_unchecked() -> None:
    unchecked = CONFORMANCE.read_text().partition("## Statements not checked here yet")[2]
    assert all_statements() - carried() <= statements_in(unchecked)


def test_no_test_carries_a_number_there_is_none_of() -> None:
    assert carried() <= all_statements()
