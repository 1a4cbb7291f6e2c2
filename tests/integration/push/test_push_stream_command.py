"""`nsqgw push --push-stream` with an nsqd: what is published at /pub comes back at all subscribers' URLs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from websockets.sync.client import connect

from harness.command import Nsqgw, run_nsqgw
from harness.polling import eventually

BY_FLAGS = ("--topic=events", "--allow-publish=events", "--push-stream", "--push-stream-template=json")
BY_FILE = """
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]
[listen]
address = "127.0.0.1:0"
[service]
admin_address = ""
[[topic]]
name = "events"
publish = true
[push_stream]
on = true
template = "json"
"""


def get(url: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return urlopen(Request(url, headers=named), timeout=10)


def test_messages_go_round_through_nsqd(nsqd: Any, tmp_path: Path) -> None:
    flags = ("--listen=127.0.0.1:0", "--admin-address=", f"--nsqd-tcp-address={nsqd.tcp_address}")
    with Nsqgw(tmp_path, "push", *BY_FLAGS, *flags) as push:
        address = push.wait_for(r"streaming events on http://([^\s\"]+)")
        with (
            connect(f"ws://{address}/ws/events", proxy=None) as websocket,
            get(f"http://{address}/ev/events", Accept="text/event-stream") as events,
        ):
            url = f"http://{address}/channels-stats?id=events"
            eventually(lambda: json.load(get(url))["subscribers"] == 2)
            for number in range(3):
                body = b"message %d" % number
                with urlopen(f"http://{address}/pub?id=events", body, timeout=10) as answer:
                    assert json.load(answer)["channel"] == "events"
                assert json.loads(websocket.recv(timeout=10))["text"] == body.decode()
            read = b"".join(events.readline() for _ in range(10))
            assert read.count(b'"text": "message') == 3
        with get(f"http://{address}/lp/events.b1") as polled:
            assert json.load(polled)["text"] == "message 2"
        assert push.terminate() == 0


def test_a_config_file_says_the_same(nsqd: Any, tmp_path: Path) -> None:
    config = tmp_path / "push.toml"
    config.write_text(BY_FILE.format(nsqd=nsqd.tcp_address))
    with Nsqgw(tmp_path, "push", f"--config={config}") as push:
        address = push.wait_for(r"streaming events on http://([^\s\"]+)")
        with get(f"http://{address}/channels-stats") as answer:
            assert json.load(answer)["channels"] == 1
        assert push.terminate() == 0


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--push-stream-template", "json"), "go with --push-stream: add it"),
        (("--push-stream", "--push-stream-path", "ws=/x/"), "must be NAME=PATH, with one of stream, events"),
        (("--push-stream", "--push-stream-path", "poll=/x"), "path '/x' for poll must begin with a slash"),
        (("--push-stream", "--push-stream-template", "x"), "template 'x' has no word"),
    ],
)
def test_wrong_flags_are_one_line(flags: tuple[str, ...], text: str) -> None:
    done = run_nsqgw("push", "--topic=events", "--nsqd-tcp-address=127.0.0.1:1", *flags)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
