"""docs/delivery.md: each promise names tests that there are, and settings that there are."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
PAGE = (DOCS / "delivery.md").read_text()
ROWS = [
    line
    for line, next_ in itertools.pairwise(PAGE.splitlines())
    if line.startswith("| ") and not next_.startswith("|---")
]
"""Of both tables, without their heads."""


def test_every_promise_has_a_test_that_is_there() -> None:
    there = {
        name for path in TESTS.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert len(ROWS) > 45
    for row in ROWS:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= there, row


def test_every_setting_it_names_is_one() -> None:
    settings = (DOCS / "ship-settings.md").read_text()
    cells = [row.split("|")[2] for row in ROWS]
    named = {name for cell in cells for name in re.findall(r"`([a-z_.]+)(?: = \w+)?`", cell)}
    assert len(named) > 8
    assert {name for name in named if f"`{name}`" not in settings} == set()
