"""The worked example of docs/testing.md is run as it stands; the page names what there is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from compat.testing import ChannelView, EmbeddedNsqd, Faults
from compat.testing.clock import Clock
from compat.testing.views import TopicView
from nsqgw import testing

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_runs(pytester: pytest.Pytester) -> None:
    for number, block in enumerate(BLOCKS):
        named = re.match(r"# (\w+\.py)\n", block)
        (pytester.path / (named[1] if named else f"test_block_{number}.py")).write_text(block)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=6)


def test_every_fault_and_assertion_is_told() -> None:
    for owner in (Faults, ChannelView, TopicView, Clock):
        for name, member in vars(owner).items():
            if inspect.isfunction(member) and not name.startswith("_") and name not in UNTOLD:
                assert re.search(rf"\b{name}\b", PAGE), f"{owner.__name__}.{name}"
    for name in inspect.signature(testing.message).parameters:
        assert name in PAGE or name == "nsqd_address"


UNTOLD = {"judge", "on_delivery"}


def test_the_error_is_shown_as_it_is() -> None:
    shown = re.search(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown
    nsqd = EmbeddedNsqd()
    words = str(nsqd.topic("orders").channel("billing").figures)
    assert re.sub(r"\d+", "", shown[1].splitlines()[1].strip()) == re.sub(r"\d+", "", words)
