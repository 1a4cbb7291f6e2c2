"""docs/dependencies.md has a line for every package in setup.cfg, and for no other."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def declared() -> set[str]:
    """The names of all packages that setup.cfg asks for."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = (line.strip() for text in texts for line in text.splitlines())
    names = {re.split(r"[><=;\[ ]", line)[0] for line in lines if line}
    return names - {"nsqgw"}


def documented() -> set[str]:
    """The first cell of each row that is no name of an extra."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]
    rows = [row for row in rows if row[0] not in ("package", "extra") and set(row[0]) != {"-"}]
    return {row[1] if len(row) == 4 else row[0] for row in rows}


def test_every_dependency_is_explained() -> None:
    assert documented() == declared()
