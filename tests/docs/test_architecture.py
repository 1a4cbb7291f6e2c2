"""docs/architecture.md draws the tree that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TREE = (ROOT / "docs" / "architecture.md").read_text().split("## The tree")[1]


def drawn() -> list[Path]:
    """The folders and files at the start of the drawing's lines, below their top folder."""
    paths: list[Path] = []
    top = Path()
    for line in TREE.splitlines():
        if match := re.match(r"    (\w+)/ ", line):
            top = Path(match[1])
            paths.append(top)
        elif match := re.match(r"      (\w+/|\w+\.py) ", line):
            paths.append(top / match[1])
    return paths


def test_what_is_drawn_exists() -> None:
    assert len(drawn()) > 15
    assert [str(path) for path in drawn() if not (ROOT / path).exists()] == []


def test_every_package_is_drawn() -> None:
    packages = {
        path.parent.relative_to(ROOT)
        for top in ("nsqgw", "gateways")
        for path in ROOT.glob(f"{top}/*/__init__.py")
    }
    assert sorted(map(str, packages - set(drawn()))) == []


def test_the_modules_named_beside_a_package_exist() -> None:
    """The words beside consumer/ are names of modules."""
    (block,) = re.findall(r"consumer/ +(.*?)\n      \w", TREE, re.DOTALL)
    named = set(re.findall(r"\b[a-z_]+\b", block)) - {"pure", "carries", "them", "out"}
    modules = {path.stem for path in (ROOT / "nsqgw" / "consumer").glob("*.py")}
    assert named - modules == set()
