"""nsqgw.js as a published module: its own tests under Node, its types, its size, and what a package holds."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nsqgw import __version__

ROOT = Path(__file__).parents[3]
CLIENT = ROOT / "gateways" / "push" / "client"
TESTS = Path(__file__).parent / "client"
COMPILER = ROOT / ".cache" / "node" / "node_modules" / "typescript" / "bin" / "tsc"

MAX_BYTES = 10_000


def run(*arguments: str | Path) -> str:
    """What a program of Node says; skipped without one."""
    if shutil.which(str(arguments[0])) is None:
        pytest.skip(f"no {arguments[0]}: apt-get install npm")
    command = [str(argument) for argument in arguments]
    done = subprocess.run(command, cwd=CLIENT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("tests", sorted(path.name for path in TESTS.glob("*.test.js")))
def test_its_own_tests_pass(tests: str) -> None:
    said = run("node", "--test", "--test-reporter=tap", TESTS / tests)
    assert re.search(r"^# pass [1-9]", said, re.MULTILINE), said


def test_its_types_say_what_it_does() -> None:
    if not COMPILER.exists():
        pytest.skip("no TypeScript compiler in .cache/node: tools/node_client.sh")
    options = ("--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom")
    run("node", COMPILER, *options, TESTS / "types.mts")


def test_every_name_is_in_both_files() -> None:
    module, types = (CLIENT / "nsqgw.js").read_text(), (CLIENT / "nsqgw.d.ts").read_text()
    exported = re.findall(r"^export class (\w+)", module, re.MULTILINE)
    assert exported == ["PushError", "Subscription", "Client"]
    for name in exported:
        assert f"export class {name} " in types
    defaults = re.search(r"const DEFAULTS = \{(.*?)\};", module, re.DOTALL)
    options = re.search(r"interface Options \{(.*?)\n\}", types, re.DOTALL)
    assert defaults is not None
    assert options is not None
    assert re.findall(r"^  (\w+):", defaults[1], re.MULTILINE) == _sorted_like(defaults[1], options[1])


def _sorted_like(defaults: str, options: str) -> list[str]:
    """The options that are declared, in the order of their defaults where they have one."""
    declared = re.findall(r"^  (\w+)\?:", options, re.MULTILINE)
    return sorted(declared, key=lambda name: defaults.find(f"  {name}:"))


def test_it_is_small() -> None:
    assert len(gzip.compress((CLIENT / "nsqgw.js").read_bytes(), 9)) < MAX_BYTES


def test_a_page_needs_no_unsafe_policy_for_it() -> None:
    module = (CLIENT / "nsqgw.js").read_text()
    for unsafe in ("eval(", "new Function", "innerHTML", "document.write", "import("):
        assert unsafe not in module


def test_a_package_for_npm_holds_the_module_its_types_and_its_description() -> None:
    (package,) = json.loads(run("npm", "pack", "--dry-run", "--json", "--offline"))
    assert package["version"] == __version__
    names = {file["path"] for file in package["files"]}
    assert names == {"README.md", "nsqgw.d.ts", "nsqgw.js", "package.json"}
