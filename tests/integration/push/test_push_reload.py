"""SIGHUP and the file: what changes takes effect, browsers that are not concerned notice nothing."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from harness.command import Nsqgw, run_nsqgw
from harness.polling import eventually
from nsqgw import Producer

FILE = """\
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]

[listen]
address = "127.0.0.1:0"
{listen}

[service]
admin_address = "127.0.0.1:0"

{more}
"""

EVENTS, OTHER = '[[topic]]\nname = "events"\n', '[[topic]]\nname = "other"\n'


def publish(nsqd: str, topic: str, body: str) -> None:
    async def once() -> None:
        async with Producer([nsqd]) as producer:
            await producer.publish(topic, body.encode())

    asyncio.run(once())


def answer(url: str, headers: dict[str, str] | None = None) -> int:
    try:
        with urlopen(Request(url, headers=headers or {})) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code


def test_a_reload_changes_topics_origins_and_limits_and_drops_nobody_else(nsqd, tmp_path: Path) -> None:
    file = tmp_path / "push.toml"

    def write(more: str, listen: str = "") -> None:
        file.write_text(FILE.format(nsqd=nsqd.tcp_address, listen=listen, more=more))

    write(EVENTS + OTHER)
    with Nsqgw(tmp_path, "push", "--config", str(file)) as push:
        address = push.wait_for(r"streaming events, other on http://([^\s\"]+)")
        poll = f"http://{address}/stream/fresh?since=oldest"
        foreign = {"Origin": "https://example.org"}

        def stream(path: str) -> ClientConnection:
            agreed = [Subprotocol("nsqgw.v1.json")] if path == "connect" else None
            return connect(f"ws://{address}/{path}", proxy=None, close_timeout=1, subprotocols=agreed)

        with stream("stream/events") as stays, stream("stream/other") as goes, stream("connect") as many:
            many.recv(timeout=10)  # hello
            for number, channel in enumerate(("events", "other"), 1):
                many.send(json.dumps({"id": number, "op": "subscribe", "channel": channel}))
                many.recv(timeout=10)
            assert answer(f"http://{address}/topics", foreign) == 403

            fresh = '[[topic]]\nname = "fresh"\n[push_stream]\non = true\n'
            write(EVENTS + fresh, 'allow_origins = ["https://example.org"]')
            file.write_text(file.read_text().replace("[service]", "[service]\nprocesses = 2"))
            push.send(signal.SIGHUP)
            push.wait_for(r"what changed in \[service\] takes effect at the next start")
            push.wait_for(r"what changed in \[push_stream\] takes effect at the next start")
            push.wait_for("nsqgw push reloaded")
            with pytest.raises(ConnectionClosed) as closed:
                goes.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4505, "unknown channel")
            told = json.loads(many.recv(timeout=10))
            assert (told["push"], told["channel"], told["error"]["code"]) == ("unsubscribed", "other", 102)
            assert answer(f"http://{address}/topics", foreign) == 200
            assert answer(f"http://{address}/stream/other") == 404
            publish(nsqd.tcp_address, "fresh", "new")
            eventually(
                lambda: b"new" in urlopen(Request(poll, headers={"Accept": "application/json"})).read()
            )

            file.write_text("[nsq\n")
            push.send(signal.SIGHUP)
            push.wait_for("the old settings stay in force: .*push.toml:1: is no TOML")
            publish(nsqd.tcp_address, "events", "still")
            assert stays.recv(timeout=10) == "still"
            assert json.loads(many.recv(timeout=10))["channel"] == "events"
        assert push.terminate() == 0
        assert "Traceback" not in push.log


def test_another_connection_to_nsqd_takes_the_place_of_the_old_one_unseen(nsqd, tmp_path: Path) -> None:
    file = tmp_path / "push.toml"
    text = FILE.format(nsqd=nsqd.tcp_address, listen="", more=EVENTS)
    file.write_text(text)
    with Nsqgw(tmp_path, "push", "--config", str(file)) as push:
        address = push.wait_for(r"streaming events on http://([^\s\"]+)")
        with connect(f"ws://{address}/stream/events", proxy=None, close_timeout=1) as browser:
            publish(nsqd.tcp_address, "events", "one")
            assert browser.recv(timeout=10) == "one"
            file.write_text(text.replace("[listen]", "max_in_flight = 7\n[listen]"))
            push.send(signal.SIGHUP)
            for number in range(20):
                publish(nsqd.tcp_address, "events", str(number))
            push.wait_for("nsqgw push reloaded")
            publish(nsqd.tcp_address, "events", "last")
            got = {browser.recv(timeout=10) for _ in range(21)}
            assert got == {*map(str, range(20)), "last"}
        assert push.terminate() == 0


def test_validate_tells_what_is_wrong_and_what_is_not_reached(nsqd, tmp_path: Path) -> None:
    file = tmp_path / "push.toml"
    file.write_text(FILE.format(nsqd=nsqd.tcp_address, listen="", more=EVENTS))
    done = run_nsqgw("push", "validate", str(file))
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, [f"nsqd {nsqd.tcp_address}: reached"])
    file.write_text(FILE.format(nsqd="127.0.0.1:1", listen="", more=EVENTS))
    done = run_nsqgw("push", "validate", str(file))
    assert done.returncode == 1
    assert "nsqd 127.0.0.1:1: " in done.stdout
    backend = f'[security]\nauth_request = "http://user:secret@{nsqd.tcp_address}/may"\n'
    redis = '[shared]\nurl = "redis://127.0.0.1:1/0"\n'
    file.write_text(FILE.format(nsqd=nsqd.tcp_address, listen="", more=backend + redis + EVENTS))
    done = run_nsqgw("push", "validate", str(file))
    assert done.returncode == 1
    assert f"backend http://***@{nsqd.tcp_address}/***: reached" in done.stdout
    assert "redis redis://127.0.0.1:1/0: " in done.stdout
    file.write_text(FILE.format(nsqd=nsqd.tcp_address, listen="adress = 1", more=EVENTS))
    for words in (("validate", str(file)), ("--config", str(file))):
        done = run_nsqgw("push", *words)
        assert (done.returncode, done.stdout) == (78, "")
        assert done.stderr == f"{file}:6: listen.adress = 1: is no setting here; did you mean address?\n"


def test_flags_beside_a_file_are_those_of_the_program(tmp_path: Path) -> None:
    file = tmp_path / "push.toml"
    file.write_text(FILE.format(nsqd="127.0.0.1:1", listen="", more=EVENTS))
    done = run_nsqgw("push", "--config", str(file), "--topic", "a")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--topic belongs into the file when there is --config" in done.stderr
    done = run_nsqgw("push", "--config", str(file), "--connect-timeout", "300ms")
    assert done.returncode == 1
    assert "nothing could be reached within 0.3s" in done.stderr
