"""The pages of docs/ build without a warning, and the reference has every public name with a description."""

from __future__ import annotations

import inspect
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import nsqgw
import nsqgw.http
import nsqgw.instrument
from nsqgw import errors

ROOT = Path(__file__).parents[2]
VALUES = {"__version__", "errors", "Fact", "OnFact"}
"""What is no class and no function."""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The last part of each name in the reference."""
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", ROOT / "docs", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    inventory = (folder / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split()[0].rpartition(".")[2] for line in zlib.decompress(inventory).decode().splitlines()}


def public(module: ModuleType) -> set[str]:
    return {name for name in module.__all__ if name not in VALUES}


def test_every_public_name_is_in_it(described: set[str]) -> None:
    names = public(nsqgw) | public(nsqgw.http) | public(nsqgw.instrument)
    names |= {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert names - described == set()


def members(owner: type) -> Iterator[tuple[str, object]]:
    """Methods and properties made here, not by the standard library."""
    for name, value in inspect.getmembers(owner):
        function = value.fget if isinstance(value, property) else value
        if name.startswith("_") or not inspect.isroutine(function):
            continue
        if (getattr(function, "__module__", None) or "").startswith("nsqgw"):
            yield f"{owner.__name__}.{name}", function


@pytest.mark.parametrize("module", [nsqgw, nsqgw.http, nsqgw.instrument], ids=lambda module: module.__name__)
def test_every_public_name_has_a_description(module: ModuleType) -> None:
    bare = []
    for name in public(module):
        value = getattr(module, name)
        found = [(name, value), *(members(value) if isinstance(value, type) else ())]
        bare += [path for path, item in found if not inspect.getdoc(item)]
    assert bare == []
