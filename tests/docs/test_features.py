"""docs/features.md names tests that there are, and says truly which run on both kinds of daemons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "features.md").read_text()


def test_every_test_it_names_is_there_and_runs_on_what_it_says(request: pytest.FixtureRequest) -> None:
    collected = [item for item in request.session.items if isinstance(item, pytest.Function)]
    if {item.path for item in collected} != set(TESTS.rglob("test_*.py")):
        pytest.skip("only a run of all tests has them all")
    kinds: dict[str, set[str]] = {}
    for item in collected:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        kinds.setdefault(item.originalname, set()).add(str(parameters.get("kind")))
    named = re.findall(r"`(test_\w+)`(\*?)", PAGE)
    assert len(named) > 50
    assert {name for name, _ in named} - set(kinds) == set()
    both = {name for name, star in named if star}
    assert {name for name, _ in named if kinds[name] >= {"compat", "real"}} == both
