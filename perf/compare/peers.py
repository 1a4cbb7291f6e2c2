"""The clients compared, and what it takes to run each on this machine.

Nothing of a peer is installed into the project's own environment: a Python peer gets a virtual environment
under .cache/peers with a Python it works on, go-nsq a program built by the Go client into .cache/bin.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
GO_SOURCE = Path(__file__).parent / "go"

_INSTALL_TIMEOUT = 300.0
_OLDEST_MINOR = 9


class Unavailable(Exception):
    """This machine cannot run a client; the text says why."""


@dataclass(frozen=True)
class Peer:
    """A client written in Python, importable where nsqgw is.

    `settings` tells the reader how it is used, so that he can judge whether that is fair.
    """

    name: str
    module: str
    settings: str
    names: str = ""

    @property
    def import_statement(self) -> str:
        """What a program that uses it says; `names` for a client that loads its parts on demand."""
        return f"from {self.module} import {self.names}" if self.names else f"import {self.module}"

    def prepare(self) -> list[str]:
        """The command of its measuring program, made ready; Unavailable where that cannot be."""
        return [sys.executable, *self._program()]

    def _program(self) -> list[str]:
        return ["-W", "ignore", "-m", f"perf.compare.clients.{self.name}_client"]


@dataclass(frozen=True)
class OutsidePeer(Peer):
    """A client in Python with an environment of its own.

    `newest_minor` is the newest Python 3 it works on: peers are no longer maintained, Python is.
    """

    requirement: str = ""
    newest_minor: int = 13

    def prepare(self) -> list[str]:
        home = CACHE / "peers" / self.name
        stamp = home / ".installed"
        if not stamp.exists() or stamp.read_text() != self.requirement:
            self._install(home)
            stamp.write_text(self.requirement)
        return [str(home / "bin" / "python"), *self._program()]

    def _install(self, home: Path) -> None:
        """Tries Pythons from the newest down, until the client can be installed and imported."""
        troubles = []
        for minor in range(self.newest_minor, _OLDEST_MINOR - 1, -1):
            for python in _interpreters(minor):
                try:
                    self._install_with(python, home)
                except Unavailable as error:
                    troubles.append(f"{python}: {error}")
                    continue
                return
        shutil.rmtree(home, ignore_errors=True)
        span = f"Python 3.{_OLDEST_MINOR} to 3.{self.newest_minor}"
        raise Unavailable("; ".join(troubles) or f"needs {span}, and there is none on this machine")

    def _install_with(self, python: str, home: Path) -> None:
        shutil.rmtree(home, ignore_errors=True)
        inside = str(home / "bin" / "python")
        pip = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in (
            [python, "-m", "venv", str(home)],
            [*pip, self.requirement],
            [inside, "-W", "ignore", "-c", f"import {self.module}"],
        ):
            _run(command)


class GoPeer(Peer):
    """The Go client: a program of ours around it, built once."""

    def prepare(self) -> list[str]:
        program = CACHE / "bin" / "compare-go-nsq"
        sources = [GO_SOURCE / name for name in ("main.go", "go.mod", "go.sum")]
        newest = max(source.stat().st_mtime for source in sources)
        if not program.exists() or program.stat().st_mtime < newest:
            if shutil.which("go") is None:
                raise Unavailable("there is no Go client on this machine (Debian: apt-get install golang)")
            program.parent.mkdir(parents=True, exist_ok=True)
            _run(["go", "build", "-C", str(GO_SOURCE), "-o", str(program)])
        return [str(program)]

    def version(self) -> str:
        """The version go.mod asks for."""
        found = re.search(r"go-nsq v(\S+)", (GO_SOURCE / "go.mod").read_text())
        assert found is not None, "go.mod names no go-nsq"
        return found[1]


NSQGW = Peer(
    "nsqgw",
    "nsqgw",
    "`publish_then`, each answer publishing the next; `publish_soon`, taking the oldest answer first; a "
    "thousand tasks that await `publish`; buffers as by default",
    names="Consumer, Producer",
)

CLIENTS: tuple[Peer, ...] = (
    NSQGW,
    Peer("pynsq", "nsq", "`Reader` and `Writer`; publishing with a callback per answer"),
    OutsidePeer(
        "gnsq",
        "gnsq",
        "`Consumer` with a handler, waiting in a gevent pool of 200; `publish(raise_error=False)`",
        requirement="gnsq==1.0.2",
    ),
    OutsidePeer(
        "ansq",
        "ansq",
        "`open_connection` and `subscribe` with RDY 2500 (its `Reader` knows only RDY 1), `async for`; "
        "a thousand tasks that await `pub`",
        requirement="ansq==0.3.0",
    ),
    OutsidePeer(
        "asyncnsq",
        "asyncnsq",
        "`create_reader` and `async for`; a thousand tasks that await `pub`",
        requirement="asyncnsq==1.2.1",
    ),
    GoPeer(
        "go-nsq",
        "",
        "2 handlers, 200 where they wait; `PublishAsync` with one channel for all answers, or a thousand "
        "goroutines that `Publish`; as many threads as it takes by default",
    ),
)


def _interpreters(minor: int) -> Iterator[str]:
    """The Pythons 3.`minor` of this machine: the one that runs this, those on the path, those of pyenv."""
    if sys.version_info[:2] == (3, minor):
        yield sys.executable
    on_path = shutil.which(f"python3.{minor}")
    if on_path is not None:
        yield on_path
    versions = Path.home() / ".pyenv" / "versions"
    yield from (str(path) for path in sorted(versions.glob(f"3.{minor}.*/bin/python"), reverse=True))


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=_INSTALL_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise Unavailable(f"{Path(command[0]).name} {command[1]} ...: {words[-1]}")
