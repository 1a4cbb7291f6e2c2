"""A client that is not ours reads and writes through the daemons: pynsq, as its users run it.

It runs in a process of its own, because it uses what newer Pythons deprecate, and warnings are errors here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from harness.daemons import Daemon
from harness.http import channel_stats, get
from harness.polling import eventually

PROGRAM = """
import json, sys
import nsq, tornado.ioloop

task = json.loads(sys.argv[1])
loop = tornado.ioloop.IOLoop.current()
seen = []


def handle(message):
    if task["requeue_first"] and message.attempts == 1:
        message.requeue(delay=0, backoff=False)
        return None
    seen.append([message.body.decode(), message.attempts])
    return True


def answered(conn, data):
    seen.append([data.decode() if isinstance(data, bytes) else repr(data), 0])


def publish():
    bodies = [b"%s %d" % (task["role"].encode(), number) for number in range(task["count"])]
    if task["role"] == "batch":
        writer.mpub(task["topic"], bodies, callback=answered)
    for body in bodies if task["role"] == "single" else ():
        writer.pub(task["topic"], body, callback=answered)


def check():
    if not published and client.conns:
        published.append(True)
        publish()
    if len(seen) >= task["answers"] and not any(conn.in_flight for conn in client.conns.values()):
        loop.stop()


if task["role"] == "reader":
    published = [True]
    client = nsq.Reader(
        message_handler=handle,
        topic=task["topic"],
        channel="pynsq",
        nsqd_tcp_addresses=task["nsqds"],
        lookupd_http_addresses=task["lookupds"],
        max_in_flight=50,
    )
else:
    published = []
    client = writer = nsq.Writer(task["nsqds"])
tornado.ioloop.PeriodicCallback(check, 20).start()
loop.call_later(25, lambda: sys.exit("pynsq: not done within 25 s, seen %d" % len(seen)))
loop.start()
print(json.dumps(seen))
"""


def pynsq(role: str, topic: str, count: int, **task: Any) -> list[list[Any]]:
    """Runs pynsq as a reader, or as a writer of `count` single messages or of one batch; what it saw."""
    answers = 1 if role == "batch" else count
    defaults = {"nsqds": [], "lookupds": [], "requeue_first": False, "answers": answers}
    document = json.dumps({**defaults, **task, "role": role, "topic": topic, "count": count})
    arguments = [sys.executable, "-W", "ignore", "-c", PROGRAM, document]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_pynsq_writes_and_reads(broker: Daemon, topic: str) -> None:
    nsqds = [broker.tcp_address]
    assert pynsq("single", topic, 200, nsqds=nsqds) == [["OK", 0]] * 200
    assert pynsq("batch", topic, 100, nsqds=nsqds) == [["OK", 0]]
    expected = [f"single {number}" for number in range(200)] + [f"batch {number}" for number in range(100)]
    seen = pynsq("reader", topic, 300, nsqds=nsqds)
    assert sorted(seen) == sorted([body, 1] for body in expected)
    eventually(lambda: channel_stats(broker.http_address, topic, "pynsq")["in_flight_count"] == 0)
    assert channel_stats(broker.http_address, topic, "pynsq")["depth"] == 0


def test_pynsq_requeues(broker: Daemon, topic: str) -> None:
    nsqds = [broker.tcp_address]
    pynsq("batch", topic, 20, nsqds=nsqds)
    seen = pynsq("reader", topic, 20, nsqds=nsqds, requeue_first=True)
    assert sorted(seen) == sorted([f"batch {number}", 2] for number in range(20))


def test_pynsq_finds_nsqd_by_lookupd(
    start_nsqlookupd: Callable[..., Daemon], start_nsqd: Callable[..., Daemon]
) -> None:
    lookupd = start_nsqlookupd()
    nsqd = start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))
    pynsq("batch", "t", 10, nsqds=[nsqd.tcp_address])
    eventually(lambda: get(lookupd.http_address, "/lookup?topic=t").status == 200)
    assert len(pynsq("reader", "t", 10, lookupds=[lookupd.http_address])) == 10
