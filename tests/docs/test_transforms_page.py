"""docs/transforms.md: each example is a piece of a config file, and what becomes of events is as it says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from gateways.pipeline.event import Event
from gateways.pipeline.transforms import Dropped, Rejected
from gateways.ship.template import METADATA, Template
from gateways.ship.transforms.expression import MAX_DEPTH, MAX_LENGTH, MAX_NODES
from gateways.ship.transforms.expression import METADATA as NSQ_NAMES
from gateways.ship.transforms.operators import FUNCTIONS
from harness.transforming import SETTINGS, chain_of, one_message

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = (Path(__file__).parents[2] / "docs" / "transforms.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```\n(?:.*?)^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def told(body: str, toml: str) -> tuple[str, str]:
    """What becomes of a body, in the words of the page."""
    tables = tomllib.loads(f"[[pipeline]]\n{toml}")["pipeline"][0]["transforms"]
    result = chain_of(*tables).apply(one_message(body.encode()))
    if isinstance(result, Dropped):
        return "drop", result.by
    if isinstance(result, Rejected):
        return "dead", result.reason
    assert isinstance(result, Event)
    return ("out", result.body.decode()) if result.sinks is None else ("to", " ".join(result.sinks))


@pytest.mark.parametrize(("toml", "text"), EXAMPLES)
def test_an_example(toml: str, text: str) -> None:
    lines = [line.split(maxsplit=1) for line in text.splitlines()]
    assert len(lines) % 2 == 0
    for (word, body), (end, expected) in zip(lines[::2], lines[1::2], strict=True):
        assert word == "in"
        assert told(body, toml) == (end, expected)


def test_every_transform_function_and_place_is_told() -> None:
    assert len(EXAMPLES) == 12
    kinds = SETTINGS.json_schema()["items"]["discriminator"]["mapping"]
    assert {kind for kind in kinds if not re.search(rf"^## .*\b{kind}\b", PAGE, re.MULTILINE)} == set()
    for name in (*FUNCTIONS, "exists", "field", "matches"):
        assert f"`{name}(" in PAGE
    for name in METADATA:
        assert f"`{{{name}}}`" in PAGE
    for name in NSQ_NAMES:
        assert name in PAGE
    assert f"{MAX_LENGTH} characters, {MAX_NODES} parts and {MAX_DEPTH} levels" in PAGE
    assert Template("%Y.%m.%d %H").render(one_message(b"")) == "2026.02.02 02"
