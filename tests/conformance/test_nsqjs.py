"""A client for Node publishes, receives and requeues through the daemons: nsqjs, as its users run it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.daemons import Daemon
from harness.http import get, post
from harness.polling import eventually

FOLDER = Path(__file__).parents[2] / ".cache" / "node"

PROGRAM = """
const nsq = require('nsqjs');
const task = JSON.parse(process.argv[1]);
const [host, port] = task.nsqd.split(':');
const fail = (error) => { console.error(error); process.exit(1); };
const writer = new nsq.Writer(host, Number(port), {deflate: task.deflate});
const reader = new nsq.Reader(task.topic, 'node', {...task.reader, maxInFlight: 20, deflate: task.deflate});
const seen = [];

reader.on('message', (message) => {
  if (task.requeue && message.attempts === 1) return message.requeue(0, false);
  seen.push([message.body.toString(), message.attempts]);
  message.finish();
  if (seen.length === task.count + 1) setTimeout(() => process.stdout.write(JSON.stringify(seen), () => process.exit(0)), 20);
});
writer.on('ready', () => {
  writer.publish(task.topic, 'single', (error) => error && fail(error));
  const bodies = Array.from({length: task.count}, (_, number) => `batch ${number}`);
  writer.publish(task.topic, bodies, (error) => error ? fail(error) : reader.connect());
});
for (const client of [reader, writer]) client.on('error', fail);
writer.connect();
setTimeout(() => fail(`not done, seen ${seen.length}`), 25000);
"""  # noqa: E501 - a program in another language


def nsqjs(nsqd: Daemon, topic: str, **task: object) -> list[list[object]]:
    """Publishes one message and a batch of 20, and reads them; bodies with their attempts."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "nsqjs").exists():
        pytest.skip("nsqjs is not in .cache/node: tools/node_client.sh")
    document = {"nsqd": nsqd.tcp_address, "topic": topic, "count": 20, "requeue": False, "deflate": False}
    document["reader"] = {"nsqdTCPAddresses": nsqd.tcp_address}
    arguments = [node, "-e", PROGRAM, json.dumps({**document, **task})]
    done = subprocess.run(arguments, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(json.loads(done.stdout))


def expected(attempts: int) -> list[list[object]]:
    return sorted([body, attempts] for body in ["single", *(f"batch {number}" for number in range(20))])


@pytest.mark.parametrize("deflate", [False, True])
def test_nsqjs_publishes_and_receives(broker: Daemon, topic: str, deflate: bool) -> None:
    assert nsqjs(broker, topic, deflate=deflate) == expected(1)


def test_nsqjs_requeues(broker: Daemon, topic: str) -> None:
    assert nsqjs(broker, topic, requeue=True) == expected(2)


def test_nsqjs_finds_nsqd_by_nsqlookupd(
    start_nsqlookupd: Callable[..., Daemon], start_nsqd: Callable[..., Daemon]
) -> None:
    lookupd = start_nsqlookupd()
    nsqd = start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))
    post(nsqd.http_address, "/topic/create?topic=t")
    eventually(lambda: get(lookupd.http_address, "/lookup?topic=t").status == 200)
    reader = {"lookupdHTTPAddresses": lookupd.http_address}
    assert nsqjs(nsqd, "t", reader=reader) == expected(1)
