"""What `pip install` brings: the bare client with three dependencies, the gateways only with their extra."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Install = Callable[[str], Path]


def run(*arguments: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=check,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Built from a copy: setuptools leaves its build folder behind, and would pick up stale files from it.
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in ("nsqgw", "gateways", "compat"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source, cwd=folder)
    (built,) = folder.glob("nsqgw-*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with `pip install nsqgw` and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    run(folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", wheel, cwd=folder)
    return folder / "bin"


def test_the_wheel_holds_the_pages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "gateways/push/static/",
        "gateways/push/client/nsqgw.js",
        "gateways/demo/static/",
        "nsqgw/py.typed",
        "compat/py.typed",
    ):
        assert any(entry.startswith(name) for entry in names), name


def test_the_bare_install_has_three_dependencies(bare: Path) -> None:
    program = (
        "import re, importlib.metadata as m\n"
        "print(sorted(re.match('[a-z]+', r)[0] for r in m.requires('nsqgw') if 'extra' not in r))"
    )
    assert (
        run(bare / "python", "-c", program, cwd=bare).stdout.strip() == "['msgpack', 'requests', 'tornado']"
    )


def test_importing_the_client_brings_no_gateway_package(bare: Path) -> None:
    program = (
        "import sys, nsqgw\n"
        "heavy = {'click', 'pydantic', 'prometheus_client', 'opentelemetry', 'websockets', 'orjson'}\n"
        "heavy |= {'gateways', 'compat'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert run(bare / "python", "-W", "error", "-c", program, cwd=bare).stdout.strip() == "[]"


def test_the_client_and_the_broker_work_in_the_bare_install(bare: Path) -> None:
    program = """
import asyncio
from compat.nsqd import Nsqd, NsqdOptions
from nsqgw import Consumer, Producer

async def main():
    async with Nsqd(NsqdOptions(tcp_address="127.0.0.1:0", http_address="127.0.0.1:0")) as nsqd:
        async with Producer([nsqd.tcp_address]) as producer:
            await producer.publish("t", b"hello")
        async with Consumer("t", "c", nsqd_tcp_addresses=[nsqd.tcp_address]) as consumer:
            async for message in consumer:
                await message.finish()
                print(message.body)
                break

asyncio.run(main())
"""
    assert run(bare / "python", "-W", "error", "-c", program, cwd=bare).stdout.strip() == "b'hello'"


@pytest.mark.parametrize("subcommand", ["ship", "push", "nsqd", "nsqlookupd", "demo"])
def test_without_the_extra_the_command_says_what_to_install(bare: Path, subcommand: str) -> None:
    result = run(bare / "nsqgw", subcommand, cwd=bare, check=False)
    assert result.returncode == 1
    assert "pip install 'nsqgw[gateways]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_with_the_extra_the_command_works(wheel: Path, bare: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path, cwd=tmp_path)
    run(
        tmp_path / "bin" / "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        f"{wheel}[gateways]",
        cwd=tmp_path,
    )
    result = run(tmp_path / "bin" / "nsqgw", "--help", cwd=tmp_path)
    for subcommand in ("demo", "nsqd", "nsqlookupd", "push", "ship"):
        assert f"  {subcommand} " in result.stdout
