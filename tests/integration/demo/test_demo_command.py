"""`nsqgw demo` as a user runs it: it ends cleanly and says where every message went."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
from pathlib import Path
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

from harness.command import Nsqgw, run_nsqgw

QUIET = ("--listen", "127.0.0.1:0", "--admin-address", "")
SUMMARY = re.compile(
    r"published (\d+), shipped (\d+) to (\S+) \((\d+) bytes\), "
    r"pushed (\d+) \((\d+) deliveries to browsers\), none left\n"
)


def test_for_a_few_seconds(tmp_path: Path) -> None:
    done = run_nsqgw("demo", *QUIET, "--seconds", "2", "--data-dir", str(tmp_path / "new"))
    assert (done.returncode, done.stderr) == (0, "")
    summary = SUMMARY.search(done.stdout)
    assert summary is not None, done.stdout
    published, shipped, file, size, pushed, delivered = summary.groups()
    assert int(published) == int(shipped) == int(pushed) > 0
    assert delivered == "0"
    shipped_file = tmp_path / "new" / "shipped.ndjson"
    assert file == str(shipped_file)
    assert shipped_file.stat().st_size == int(size)
    assert len(shipped_file.read_bytes().splitlines()) == int(shipped)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with Nsqgw(tmp_path, "demo", *QUIET, "--data-dir", str(tmp_path)) as demo:
        page = page_of(demo)
        with connect(f"ws://{page}/stream/figures", proxy=None) as websocket:
            websocket.recv(timeout=10)
            demo.send(number)
            assert demo.wait() == 0
        assert demo.log == ""
        assert demo.process.stdout is not None
        summary = SUMMARY.search(demo.process.stdout.read().decode())
        assert summary is not None
        assert int(summary[6]) > 0


def test_its_config_shows_no_port_that_is_not_open(tmp_path: Path) -> None:
    flags = ("--listen", "127.0.0.1:0", "--admin-address", "127.0.0.1:0", "--log-level", "info")
    with Nsqgw(tmp_path, "demo", *flags, "--data-dir", str(tmp_path)) as demo:
        admin = demo.wait_for(r"admin port on (http://[^\s\"]+)")
        page_of(demo)
        with urlopen(f"{admin}/config") as answer:
            config = json.load(answer)
        assert "admin_address" not in config["ship"]
        assert demo.terminate() == 0


def test_a_second_signal_forces_the_end(tmp_path: Path) -> None:
    with Nsqgw(tmp_path, "demo", *QUIET, "--data-dir", str(tmp_path)) as demo:
        page_of(demo)
        demo.send(signal.SIGINT)
        demo.send(signal.SIGTERM)
        # whichever of the two comes second
        assert demo.wait() in (128 + signal.SIGINT, 128 + signal.SIGTERM)
        assert "Traceback" not in demo.log


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for flag in ("--listen", "--nsqd-tcp-address", "--lookupd-http-address"):
            done = run_nsqgw("demo", *QUIET, flag, address, "--data-dir", str(tmp_path))
            assert done.returncode == 1
            assert done.stderr.startswith(f"nsqgw demo: cannot listen on {address}: Address already in use")
            assert done.stderr.count("\n") == 1


def test_a_second_demo_takes_free_ports_and_says_which(tmp_path: Path) -> None:
    with contextlib.ExitStack() as listening:
        taken = set()
        for port in (8080, 9119):
            with contextlib.suppress(OSError):  # another program has it, and may leave it at any moment
                listening.enter_context(socket.create_server(("127.0.0.1", port)))
                taken.add(f"127.0.0.1:{port}")
        with Nsqgw(tmp_path, "demo", "--data-dir", str(tmp_path)) as demo:
            page = page_of(demo)
            admin = said(demo, r"admin +http://(\S+)/metrics\n")
            assert not {page, admin} & taken
            with urlopen(f"http://{admin}/ping") as answer:
                assert answer.read() == b"OK"
            assert demo.terminate() == 0


def test_a_given_admin_port_in_use_is_named_with_its_flag(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_nsqgw("demo", "--admin-address", address, "--data-dir", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "choose another port by --admin-address (0 takes any free one)\n" in done.stderr


def test_a_temporary_folder_stays_only_with_a_file_in_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run_nsqgw("demo", "--listen", address).returncode == 1
    assert list(tmp_path.iterdir()) == []
    done = run_nsqgw("demo", *QUIET, "--seconds", "1")
    (file,) = tmp_path.glob("nsqgw-demo-*/shipped.ndjson")
    assert done.stdout.splitlines()[-1].startswith(f"{file} stays")


def test_wrong_flags(tmp_path: Path) -> None:
    three = ("--nsqd-tcp-address", "127.0.0.1:0") * 3
    file = tmp_path / "file"
    file.touch()
    for flags in (three, ("--data-dir", str(file)), ("--seconds", "0"), ("--listen", "here")):
        done = run_nsqgw("demo", *flags)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def page_of(demo: Nsqgw) -> str:
    """The address of the page, once the demo has said it."""
    return said(demo, r"page +http://(\S+)/\n")


def said(demo: Nsqgw, pattern: str) -> str:
    """What the group of `pattern` stands for in the next line on stdout."""
    assert demo.process.stdout is not None
    line = demo.process.stdout.readline().decode()
    found = re.fullmatch(pattern, line)
    assert found is not None, line + demo.log
    return found[1]
