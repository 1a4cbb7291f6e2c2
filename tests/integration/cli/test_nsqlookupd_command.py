"""`nsqgw nsqlookupd` as scripts and supervisors use it (process contract of nsqd-behaviour)."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.http import get
from harness.wire import sized

PROGRAM = [sys.executable, "-c", "import sys; from gateways.cli.main import main; sys.exit(main())"]
LOG_LINE = re.compile(r"\[nsqlookupd\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} (INFO|ERROR|WARNING): .+")
FREE_PORTS = ("-tcp-address=127.0.0.1:0", "--http-address", "127.0.0.1:0")


def ended(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "nsqlookupd", *flags], capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def running(*flags: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The process and where it listens, by TCP and HTTP."""
    process = subprocess.Popen([*PROGRAM, "nsqlookupd", *flags], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        addresses: dict[str, str] = {}
        while len(addresses) < 2:
            line = process.stderr.readline()
            assert LOG_LINE.fullmatch(line.rstrip()), line
            if found := re.search(r"(TCP|HTTP): listening on (\S+)", line):
                addresses[found[1]] = found[2]
        yield process, addresses
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("flag", ["-version", "--version", "-version=true"])
def test_the_version_line(flag: str) -> None:
    outcome = ended(flag)
    assert outcome.returncode == 0
    assert re.fullmatch(r"nsqlookupd v(\d+\.\d+\.\d+) \(built w/[a-z0-9.-]+\)\n", outcome.stdout)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_listens_logs_and_stops_in_order(number: signal.Signals) -> None:
    with running(*FREE_PORTS) as (process, addresses):
        assert get(addresses["HTTP"], "/ping").body == b"OK"
        process.send_signal(number)
        _, log = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in log


def test_unix_sockets_in_place_of_ports(tmp_path: Path) -> None:
    tcp, web = str(tmp_path / "tcp.sock"), str(tmp_path / "http.sock")
    with running(f"-tcp-address={tcp}", f"-http-address={web}") as (process, addresses):
        assert addresses == {"TCP": tcp, "HTTP": web}
        with unix_connection(tcp) as nsqd, unix_connection(web) as client:
            identity = b'{"broadcast_address":"node","tcp_port":1,"http_port":2,"version":"1.3.0"}'
            nsqd.sendall(b"  V1IDENTIFY\n" + sized(identity) + b"REGISTER t ch\n")
            answers = nsqd.recv(4096)
            while not answers.endswith(sized(b"OK")):
                answers += nsqd.recv(4096)
            client.sendall(b"GET /lookup?topic=t HTTP/1.0\r\n\r\n")
            with client.makefile("rb") as answer:
                assert b'"broadcast_address":"node"' in answer.read()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert list(tmp_path.iterdir()) == []


def unix_connection(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(15)
    connection.connect(path)
    return connection


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["-nope"], "--nope"),
        (["-tcp-address", "4160"], "'4160' is not valid: write host:port"),
        (["-tombstone-lifetime=soon"], "'soon'"),
        (["--log-level=loud"], "loud"),
        (["-verbose=perhaps"], "neither true nor false"),
        (["-tcp-address"], "requires an argument"),
        (["left-over"], "left-over"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(flags: list[str], told: str) -> None:
    outcome = ended(*flags)
    assert outcome.returncode == 2
    assert told in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        outcome = ended("-tcp-address=127.0.0.1:0", f"-http-address={address}")
    assert outcome.returncode == 1
    assert address in outcome.stderr.splitlines()[-1]
    assert "Traceback" not in outcome.stderr


def test_a_bad_config_file_is_one_line(tmp_path: Path) -> None:
    outcome = ended("-config", f"{tmp_path}/missing.toml")
    assert outcome.returncode == 1
    assert "missing.toml" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
