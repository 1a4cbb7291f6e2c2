"""nsqgw.js in Node: by its WebSocket where it has one, else by streams; a program that disconnects ends."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from compat.threaded import ThreadedNsqd
from harness.command import ROOT, Nsqgw
from nsqgw import BlockingProducer

PROGRAM = """
import { Client } from "./nsqgw.js";

const client = new Client(process.argv[1], { transports: JSON.parse(process.argv[2]) });
const seen = [];
client.subscribe("events", { since: "oldest" }).on("message", ({ data }) => {
  seen.push(typeof data === "string" ? data : Array.from(data));
  if (seen.length < 51) return;
  console.log(JSON.stringify({ seen, transport: client.transport }));
  client.disconnect();
});
await client.connect().ready();
"""


def node_with_websocket() -> list[str]:
    """The command of a Node that has a WebSocket: by itself from 22 on, in 20 and 21 when asked for one."""
    if shutil.which("node") is None:
        pytest.skip("no Node: apt-get install nodejs")
    said = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    major = int(re.sub(r"\..*", "", said.strip().removeprefix("v")))
    if major >= 22:
        return ["node"]
    return ["node", "--experimental-websocket"] if major >= 20 else []


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
def test_a_program_follows_a_channel(nsqd: ThreadedNsqd, tmp_path: Path, transport: str) -> None:
    command = node_with_websocket()
    if transport == "websocket" and not command:
        pytest.skip("this Node has no WebSocket: 20 and later have")
    source = ("--topic", "events", "--nsqd-tcp-address", nsqd.tcp_address)
    with Nsqgw(tmp_path, "push", *source, "--listen", "127.0.0.1:0", "--admin-address", "") as push:
        address = push.wait_for(r"streaming events on http://([^\s\"]+)")
        bodies = [str(number).encode() for number in range(50)]
        with BlockingProducer([nsqd.tcp_address]) as producer:
            producer.publish_many("events", [*bodies, b"\xff\x00"])
        done = subprocess.run(
            [
                *(command or ["node"]),
                "--input-type=module",
                "--eval",
                PROGRAM,
                f"http://{address}/",
                json.dumps([transport]),
            ],
            cwd=ROOT / "gateways" / "push" / "client",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["transport"] == transport
    assert said["seen"] == [*(body.decode() for body in bodies), [255, 0]]
