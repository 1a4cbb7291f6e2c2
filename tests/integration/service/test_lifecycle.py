"""The life of a service in a process of its own: signals, deadlines, exit codes, one line a failure."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from harness.command import Nsqgw

PROGRAM = str(Path(__file__).with_name("lifecycle_program.py"))

Start = Callable[..., Nsqgw]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the program that behaves in the manner given."""
    with ExitStack() as running:

        def start_one(manner: str = "", admin_address: str = "", drain_timeout: float = 20.0) -> Nsqgw:
            arguments = (manner, admin_address, str(drain_timeout))
            return running.enter_context(Nsqgw(tmp_path, *arguments, program=(PROGRAM,)))

        yield start_one


def last_lines(process: Nsqgw) -> list[str]:
    """What it said besides its log."""
    assert "Traceback" not in process.log
    return [line for line in process.log.splitlines() if not line.startswith("time=")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(start: Start, number: signal.Signals) -> None:
    process = start("stops slowly")
    process.wait_for("test program started")
    process.send(number)
    assert process.wait() == 0
    assert f"{number.name}, draining" in process.log
    assert "test program stopped" in process.log
    assert last_lines(process) == []


def test_a_second_signal_ends_the_drain_at_once(start: Start) -> None:
    process = start("hangs", drain_timeout=600.0)
    process.wait_for("test program started")
    process.send(signal.SIGTERM)
    process.wait_for("draining")
    process.send(signal.SIGINT)
    assert process.wait() == 128 + signal.SIGINT
    assert last_lines(process) == ["cancelled"]


def test_a_drain_that_takes_too_long_is_given_up(start: Start) -> None:
    process = start("hangs", drain_timeout=0.2)
    process.wait_for("test program started")
    assert process.terminate() == 1
    assert last_lines(process) == ["cancelled", "test program: gave up the drain after 0.2s"]


def test_a_signal_during_the_start_stops_it(start: Start) -> None:
    process = start("starts slowly")
    process.wait_for("starting")
    assert process.terminate() == 0
    assert last_lines(process) == ["starting"]


def test_a_failed_start_is_one_line_and_1(start: Start) -> None:
    process = start("fails")
    assert process.wait() == 1
    assert last_lines(process) == ["test program: cannot reach 192.0.2.1:4150: no route to host"]


def test_a_failed_stop_is_one_line_and_1(start: Start) -> None:
    process = start("fails to stop")
    process.wait_for("test program started")
    assert process.terminate() == 1
    assert last_lines(process) == ["test program: cannot write the last word"]


def test_a_service_may_end_by_itself(start: Start) -> None:
    process = start("ends")
    assert process.wait() == 0
    assert last_lines(process) == []


def test_a_service_that_cannot_go_on_says_why(start: Start) -> None:
    process = start("breaks")
    assert process.wait() == 1
    assert last_lines(process) == ["test program: stdout was closed"]


def test_the_admin_port_is_there_from_the_start_to_the_end(start: Start) -> None:
    process = start(admin_address="127.0.0.1:0")
    url = process.wait_for(r"admin port on (http://127\.0\.0\.1:\d+)")
    process.wait_for("test program started")
    with urlopen(f"{url}/ready", timeout=10) as answer:
        assert answer.read() == b"ready\n"
    assert process.terminate() == 0
    with pytest.raises(URLError):
        urlopen(f"{url}/ping", timeout=10)


def test_an_admin_port_in_use_is_one_line_and_1(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = start(admin_address=address)
        assert process.wait() == 1
    assert last_lines(process) == [
        f"test program: cannot listen on {address}: Address already in use; stop the program that uses it, "
        "or choose another port by --admin-address (0 takes any free one)"
    ]
