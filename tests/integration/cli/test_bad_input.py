"""What users do wrong, and the one line each of it gets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateways.cli.main import main
from gateways.ship.destination import KNOWN
from harness.command import ROOT, run_nsqgw

SHIP = ["ship", "--topic", "events", "--channel", "archive", "--admin-address="]
NSQD = ["--nsqd-tcp-address", "127.0.0.1:1"]
NAMES = "1 to 64 letters, digits, '.', '_' or '-', optionally ending in '#ephemeral'"
SEE = "(see nsqgw ship --help)"

USAGE = [
    (["shop"], "nsqgw: No such command 'shop': did you mean ship? (see nsqgw --help)"),
    (["version"], "nsqgw: No such command 'version' (see nsqgw --help)"),
    (["ship"], f"nsqgw ship: Missing option '--topic', or --config FILE {SEE}"),
    (["ship", "valdate", "x.toml"], f"nsqgw ship: No such command 'valdate': did you mean validate? {SEE}"),
    (
        ["ship", "config"],
        "nsqgw ship config: Missing command: there are schema, example (see nsqgw ship config --help)",
    ),
    (
        ["ship", "dlq", "resend"],
        "nsqgw ship dlq: No such command 'resend': there are list, show, replay, export "
        "(see nsqgw ship dlq --help)",
    ),
    ([*SHIP, *NSQD], f"nsqgw ship: Missing option '--to', or --config FILE {SEE}"),
    ([*SHIP, "extra"], f"nsqgw ship: Got unexpected extra argument (extra) {SEE}"),
    (
        [*SHIP, *NSQD, "--to", "s3:bucket"],
        "nsqgw ship: Invalid value for '--to': destination 's3:bucket' is not known: it must be one of "
        f"{KNOWN}; others stand in a config file: nsqgw ship config example TYPE {SEE}",
    ),
    (
        [*SHIP, *NSQD, "--to", "stdout", "--to", "file:x"],
        f"nsqgw ship: --to is given twice: a pipeline to several sinks needs --config FILE {SEE}",
    ),
    (
        [*SHIP, *NSQD, "--to", "http://"],
        "nsqgw ship: Invalid value for '--to': destination 'http://' is no complete URL: write one such as "
        f"https://logs.example.com/in {SEE}",
    ),
    (
        ["ship", "--topic", "a b", "--channel", "c", "--to", "stdout", *NSQD],
        f"nsqgw ship: Invalid value for '--topic': topic name 'a b' is not valid: {NAMES} {SEE}",
    ),
    (
        ["ship", "--topic", "a", "--channel", "c/d", "--to", "stdout", *NSQD],
        f"nsqgw ship: Invalid value for '--channel': channel name 'c/d' is not valid: {NAMES} {SEE}",
    ),
    (
        [*SHIP, "--to", "stdout"],
        f"nsqgw ship: no source: give --nsqd-tcp-address or --lookupd-http-address {SEE}",
    ),
    (
        [*SHIP, "--to", "stdout", "--nsqd-tcp-address", "localhost"],
        "nsqgw ship: Invalid value for '--nsqd-tcp-address': address 'localhost' is not valid: write "
        f"host:port, such as 127.0.0.1:4150 {SEE}",
    ),
    (
        [*SHIP, "--to", "stdout", "--lookupd-http-address", "localhost"],
        "nsqgw ship: Invalid value for '--lookupd-http-address': nsqlookupd address 'localhost' has no port: "
        f"write host:port or a URL, for example 127.0.0.1:4161 {SEE}",
    ),
    (
        [*SHIP, "--to", "stdout", *NSQD, "--max-in-flight", "0"],
        f"nsqgw ship: --max-in-flight 0: input should be greater than or equal to 1 {SEE}",
    ),
    (
        [*SHIP, "--to", "stdout", *NSQD, "--max-in-flight", "many"],
        f"nsqgw ship: Invalid value for '--max-in-flight': 'many' is not a valid integer {SEE}",
    ),
    (
        [*SHIP, "--to", "stdout", *NSQD, "--batch-max-age", "5"],
        "nsqgw ship: Invalid value for '--batch-max-age': duration '5' is not valid: write a number "
        f"with a unit, such as 500ms, 2s or 5m {SEE}",
    ),
    (
        [*SHIP, "--to", "stdout", *NSQD, "--batch-max-bytes", "5 apples"],
        "nsqgw ship: Invalid value for '--batch-max-bytes': size '5 apples' is not valid: write bytes or a "
        f"number with a unit, such as 5MB or 256MiB {SEE}",
    ),
]


@pytest.mark.parametrize(
    ("argv", "line"), USAGE, ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else ""
)
def test_wrong_usage_is_one_line_and_2(
    argv: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert capsys.readouterr() == ("", line + "\n")


def test_a_misspelt_flag_is_named_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ship", "--tpoic", "events"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nsqgw ship: No such option")  # the rest is worded by the version of click
    assert "--tpoic" in line
    assert "--topic" in line


@contextmanager
def closed_port() -> Iterator[str]:
    """An address where nobody listens, and nobody else can."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


def last_line(stderr: str) -> str:
    """The line for the user; what is logged before it is no traceback."""
    assert "Traceback" not in stderr
    lines = [line for line in stderr.splitlines() if not line.startswith("time=")]
    assert len(lines) == 1
    return lines[0]


def test_an_unwritable_file_is_found_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "out.ndjson"
    done = run_nsqgw(*SHIP, *NSQD, "--to", f"file:{path}")
    assert done.returncode == 1
    assert last_line(done.stderr) == (
        f"nsqgw ship: cannot write to {path}: No such file or directory; "
        f"create the folder {path.parent} first"
    )


def test_unreachable_addresses_are_named_with_their_causes() -> None:
    with ExitStack() as held:
        first, second, third = (held.enter_context(closed_port()) for _ in range(3))
        sources = ["--nsqd-tcp-address", first, "--nsqd-tcp-address", second, "--lookupd-http-address", third]
        done = run_nsqgw(*SHIP, *sources, "--to", "stdout", "--connect-timeout", "500ms")
    assert done.returncode == 1
    line = last_line(done.stderr)
    assert line.startswith(f"nsqgw ship: nothing could be reached within 0.5s: {first}: ")
    for address in (first, second, third):
        assert address in line
    assert line.count("refused") == 3


def test_a_server_that_is_no_nsqd_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as http:
        address = f"127.0.0.1:{http.getsockname()[1]}"
        flags = ["--nsqd-tcp-address", address, "--to", "stdout", "--connect-timeout", "300ms"]
        done = run_nsqgw(*SHIP, *flags)
    assert done.returncode == 1
    assert last_line(done.stderr) == f"nsqgw ship: nothing could be reached within 0.3s: {address}: no answer"


def test_an_admin_port_in_use_is_named_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_nsqgw(*SHIP, *NSQD, "--to", "stdout", f"--admin-address={address}")
    assert done.returncode == 1
    assert last_line(done.stderr) == (
        f"nsqgw ship: cannot listen on {address}: Address already in use; stop the program that uses it, or "
        "choose another port by --admin-address (0 takes any free one)"
    )


def test_help_and_version() -> None:
    assert run_nsqgw("--version").stdout.startswith("nsqgw ")
    overview = run_nsqgw()
    assert overview.returncode == 0
    for name in ("demo", "nsqd", "nsqlookupd", "push", "ship"):
        assert f"  {name} " in overview.stdout
    done = run_nsqgw("ship", "-help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--lookupd-http-address" in done.stdout


def test_a_missing_extra_is_named_with_the_command_that_brings_it() -> None:
    program = (
        "import sys, importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'click' else find(name)\n"
        "from gateways.cli.main import main\n"
        "sys.exit(main(['ship', '--topic', 'events']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        1,
        "nsqgw: click is not installed: pip install 'nsqgw[gateways]'\n",
    )


def test_a_file_that_is_not_there_or_has_no_letters_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dead.ndjson"
    assert main(["ship", "dlq", "list", "--file", str(path)]) == 1
    assert capsys.readouterr().err == f"nsqgw ship dlq list: {path}: No such file or directory\n"
    path.write_text("hello\n")
    assert main(["ship", "dlq", "show", "--file", str(path), "1"]) == 1
    assert capsys.readouterr().err.startswith("nsqgw ship dlq show: what stands at 1 is no letter: no JSON: ")


@pytest.mark.parametrize("module", ["click", "tornado", "gateways.cli.nsqd"])
def test_interrupted_while_it_is_still_importing_it_says_so_in_one_line(module: str) -> None:
    program = f"""
import sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from gateways.cli.main import main
sys.exit(main(["nsqd", "--tcp-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"]))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.lstrip()) == (130, "nsqgw: interrupted\n")
