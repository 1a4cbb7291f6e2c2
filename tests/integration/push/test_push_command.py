"""`nsqgw push` as a user runs it: wrong use is one line, SIGTERM tells browsers to come back."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.command import Nsqgw, run_nsqgw
from nsqgw import Producer

TOPIC = ("--topic", "events")
NOWHERE = ("--nsqd-tcp-address", "127.0.0.1:1", "--connect-timeout", "300ms", "--admin-address", "")


def test_the_way_through_to_sigterm(nsqd, tmp_path: Path) -> None:
    flags = (
        "--nsqd-tcp-address",
        nsqd.tcp_address,
        "--listen",
        "127.0.0.1:0",
        "--admin-address",
        "127.0.0.1:0",
        "--allow-host",
        "push.example",
    )
    with Nsqgw(tmp_path, "push", *TOPIC, *flags) as push:
        admin = push.wait_for(r"admin port on (http://[^\s\"]+)")
        address = push.wait_for(r"streaming events on http://([^\s\"]+)")
        for path, text in (("ping", b"OK"), ("ready", b"ready\n")):
            with urlopen(f"{admin}/{path}") as answer:
                assert answer.read() == text
        for url in (f"{admin}/ping", f"http://{address}/topics"):
            assert urlopen(Request(url, headers={"Host": "push.example"})).status == 200
            with pytest.raises(HTTPError, match="421"):
                urlopen(Request(url, headers={"Host": "evil.example"}))
        with connect(f"ws://{address}/stream/events", proxy=None) as websocket:
            asyncio.run(publish(nsqd.tcp_address, b"hello"))
            assert websocket.recv(timeout=10) == "hello"
            push.send(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "service restart")
        assert push.wait() == 0
        assert "Traceback" not in push.log


async def publish(address: str, body: bytes) -> None:
    async with Producer([address]) as producer:
        await producer.publish("events", body)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ((), "Missing option '--topic'"),
        (TOPIC, "no source given: name an nsqd (TCP address) or an nsqlookupd (HTTP address)"),
        (("--topic", "a b", *NOWHERE), "topic name 'a b' is not valid"),
        ((*TOPIC, "--channel", "a b", *NOWHERE), "channel name 'a b' is not valid"),
        ((*TOPIC, *NOWHERE, "--listen", "8080"), "address '8080' is not valid: write host:port"),
        ((*TOPIC, *NOWHERE, "--allow-origin", "example.org"), "allowed origin 'example.org' is not valid"),
        (
            (*TOPIC, *NOWHERE, "--allow-host", "http://a"),
            "host 'http://a' is not valid: write a name without",
        ),
        ((*TOPIC, *NOWHERE, "--max-queue-bytes", "much"), "size 'much' is not valid"),
    ],
)
def test_wrong_use_is_one_line(flags: tuple[str, ...], text: str) -> None:
    done = run_nsqgw("push", *flags)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("nsqgw push: ")
    assert text in done.stderr


def test_ready_names_the_nsqd_that_a_start_waits_for(tmp_path: Path) -> None:
    flags = ("--nsqd-tcp-address", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin-address", "127.0.0.1:0")
    with Nsqgw(tmp_path, "push", *TOPIC, *flags) as push:
        admin = push.wait_for(r"admin port on (http://[^\s\"]+)")
        push.wait_for("Connection refused")
        with pytest.raises(HTTPError) as not_ready, urlopen(f"{admin}/ready"):
            pass
        assert (not_ready.value.code, not_ready.value.read()) == (
            503,
            b"starting: no connection to nsqd for events: 127.0.0.1:1: Connection refused\n",
        )


def test_a_port_in_use_and_an_nsqd_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_nsqgw("push", *TOPIC, *NOWHERE, "--listen", address, "--log-level", "error")
    assert done.returncode == 1
    assert done.stderr.startswith(f"nsqgw push: cannot listen on {address}: Address already in use; ")
    assert "choose another port by --listen (" in done.stderr
    assert done.stderr.count("\n") == 1

    done = run_nsqgw("push", *TOPIC, *NOWHERE, "--listen", "127.0.0.1:0", "--log-level", "error")
    assert done.returncode == 1
    assert done.stderr.startswith("nsqgw push: nothing could be reached within 0.3s: 127.0.0.1:1: ")
    assert done.stderr.count("\n") == 1


FEW_FILES = """
import resource, sys
from gateways.cli.main import main
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
sys.exit(main())
"""


def test_as_many_browsers_may_come_as_the_system_has_files_for(nsqd, tmp_path: Path) -> None:
    flags = ("--nsqd-tcp-address", nsqd.tcp_address, "--listen", "127.0.0.1:0", "--admin-address", "")
    with Nsqgw(tmp_path, "push", *TOPIC, *flags, program=("-c", FEW_FILES)) as push:
        push.wait_for("streaming events")
        soft, hard = resource.prlimit(push.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard


@pytest.mark.parametrize("event_loop", ["asyncio", "uvloop"])
def test_the_event_loop_is_the_one_asked_for(nsqd, tmp_path: Path, event_loop: str) -> None:
    flags = ("--nsqd-tcp-address", nsqd.tcp_address, "--listen", "127.0.0.1:0", "--admin-address", "")
    with Nsqgw(tmp_path, "push", *TOPIC, *flags, "--event-loop", event_loop) as push:
        address = push.wait_for(r"streaming events on http://([^\s\"]+)")
        loaded = Path(f"/proc/{push.process.pid}/maps").read_text()
        assert ("uvloop" in loaded) == (event_loop == "uvloop")
        with connect(f"ws://{address}/connect", proxy=None, subprotocols=["nsqgw.v1.json"]) as websocket:
            websocket.recv(timeout=10)
            websocket.send('{"id": 1, "op": "subscribe", "channel": "events"}')
            websocket.recv(timeout=10)
            asyncio.run(publish(nsqd.tcp_address, b"hello"))
            assert '"data":"hello"' in websocket.recv(timeout=10)
        assert push.terminate() == 0
        assert "Traceback" not in push.log


WITHOUT_UVLOOP = """
import sys
sys.modules["uvloop"] = None
from gateways.cli.main import main
sys.exit(main())
"""


def test_without_uvloop_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    flags = (*TOPIC, *NOWHERE, "--event-loop", "uvloop")
    with Nsqgw(tmp_path, "push", *flags, program=("-c", WITHOUT_UVLOOP)) as push:
        assert push.wait() == 2
        assert "pip install 'nsqgw[uvloop]'" in push.log
        assert "Traceback" not in push.log
