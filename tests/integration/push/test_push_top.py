"""/stats of a running gateway, and `nsqgw push top` that shows it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.request import urlopen

from websockets.sync.client import connect

from harness.command import Nsqgw, run_nsqgw
from harness.polling import eventually
from nsqgw import Producer


async def publish(nsqd: str) -> None:
    async with Producer([nsqd]) as producer:
        await producer.publish("events", b"hello")


def test_stats_tell_each_channel_and_top_shows_them(nsqd, tmp_path: Path) -> None:
    flags = (
        "--nsqd-tcp-address",
        nsqd.tcp_address,
        "--listen",
        "127.0.0.1:0",
        "--admin-address",
        "127.0.0.1:0",
    )
    with Nsqgw(tmp_path, "push", "--topic", "events", *flags) as push:
        admin = push.wait_for(r"admin port on http://([^\s\"]+)")
        address = push.wait_for(r"streaming events on http://([^\s\"]+)")
        with connect(f"ws://{address}/stream/events", proxy=None) as websocket:
            asyncio.run(publish(nsqd.tcp_address))
            assert websocket.recv(timeout=10) == "hello"

            def stats() -> dict[str, object]:
                answer = json.loads(urlopen(f"http://{admin}/stats?channel=events").read())
                return dict(answer["channels"][0])

            told = eventually(lambda: stats() if stats()["deliveries"] else None)
            assert told == {
                "channel": "events",
                "topic": "events",
                "subscribers": 1,
                "kinds": {"websocket": 1},
                "messages": 1,
                "deliveries": 1,
                "bytes": 5,
                "history_messages": 1,
                "history_bytes": 5,
                "waiting_bytes": 0,
            }
            done = run_nsqgw("push", "top", "--once", "--interval", "10ms", "--admin-address", admin)
            health = run_nsqgw("push", "health", "--ready", "--admin-address", admin)
            assert (health.returncode, health.stdout) == (0, "ready\n")
        assert done.returncode == 0
        assert done.stdout.splitlines()[1].split()[:2] == ["events", "1"]
        assert done.stdout.splitlines()[3].startswith("processes 1, channels 1, connections: websocket 1")


def test_top_says_when_nothing_answers() -> None:
    done = run_nsqgw("push", "top", "--admin-address", "127.0.0.1:1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "does not answer as nsqgw push does" in done.stderr
