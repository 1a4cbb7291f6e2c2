"""The programs in examples/, run as they stand: on nsqds of both kinds, to their end or until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from harness.auth_server import ALL, AuthServer
from harness.certificates import make_certificates
from harness.daemons import Daemon
from harness.http import get, stats
from harness.polling import eventually
from nsqgw import Producer

EXAMPLES = Path(__file__).parents[2] / "examples"

START = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have their background jobs ignore it
runpy.run_path(sys.argv[1], run_name="__main__")
"""


class Example:
    """One program under way in a folder of its own; what it needs to know is in its environment."""

    def __init__(self, name: str, folder: Path, **environment: str) -> None:
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", START, EXAMPLES / name],
                cwd=folder,
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def prints(self, *lines: str) -> None:
        """Until it has printed all of these."""
        eventually(lambda: all(line in self.output for line in lines) or self.process.poll() is not None)
        assert [line for line in lines if line not in self.output] == [], self.output

    def ends(self) -> str:
        """What it printed, when it has come to its end without an error."""
        assert self.process.wait(30) == 0, self.output
        return self.output

    def interrupt(self) -> str:
        """Ctrl-C; what it printed."""
        self.process.send_signal(signal.SIGINT)
        return self.ends()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Example]]:
    started: list[Example] = []

    def start(name: str, **environment: str) -> Example:
        started.append(Example(name, tmp_path, **environment))
        return started[-1]

    yield start
    for example in started:
        example.process.kill()
        example.process.wait()


def publish(daemon: Daemon, topic: str, *bodies: bytes) -> None:
    async def scene() -> None:
        async with Producer([daemon.tcp_address]) as producer:
            await producer.publish_many(topic, bodies)

    asyncio.run(scene())


def message_counts(daemon: Daemon) -> dict[str, int]:
    """Messages that came, by topic."""
    topics = stats(daemon.http_address)["topics"]
    return {topic["topic_name"]: topic["message_count"] for topic in topics}


def test_there_are_eleven_and_each_is_run_here() -> None:
    names = sorted(path.name for path in EXAMPLES.glob("*.py"))
    source = Path(__file__).read_text()
    assert len(names) == 11
    assert [name for name in names if f'"{name}"' not in source] == []


def test_consume(broker: Daemon, run: Any) -> None:
    publish(broker, "orders", b'{"number": 17}')
    example = run("consume.py", NSQD_TCP_ADDRESS=broker.tcp_address)
    example.prints("order 17, attempt 1\n")
    assert "Traceback" not in example.interrupt()


def test_consume_batches(broker: Daemon, run: Any, tmp_path: Path) -> None:
    publish(broker, "events", b"one", b"two")
    example = run("consume_batches.py", NSQD_TCP_ADDRESS=broker.tcp_address)
    log = tmp_path / "events.log"
    eventually(lambda: log.exists() and log.read_bytes() == b"one\ntwo\n", what="both are stored")
    example.prints("stored ", " bytes\n")
    assert "Traceback" not in example.interrupt()


def test_consume_pattern(
    start_nsqd: Callable[..., Daemon], start_nsqlookupd: Callable[..., Daemon], run: Any
) -> None:
    lookupd = start_nsqlookupd()
    nsqd = start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))
    publish(nsqd, "logs.web", b"GET")
    publish(nsqd, "logs.mail", b"HELO")
    publish(nsqd, "orders", b"no log")
    eventually(lambda: "logs.mail" in get(lookupd.http_address, "/topics").json["topics"])
    example = run("consume_pattern.py", LOOKUPD_HTTP_ADDRESS=lookupd.http_address)
    example.prints(f"logs.web from {nsqd.tcp_address}: GET\n", f"logs.mail from {nsqd.tcp_address}: HELO\n")
    assert "no log" not in example.interrupt()


def test_slow_handler(broker: Daemon, run: Any) -> None:
    publish(broker, "videos", b"film")
    example = run("slow_handler.py", NSQD_TCP_ADDRESS=broker.tcp_address, WORK_SECONDS="1.5")
    example.prints("converted film, attempt 1\n")
    assert "attempt 2" not in example.interrupt()


def test_failure_rules(broker: Daemon, run: Any) -> None:
    publish(broker, "mails", b'{"name": "anna"}', b"{", b'{"name": "ben", "busy": true}')
    example = run("failure_rules.py", NSQD_TCP_ADDRESS=broker.tcp_address)
    example.prints("mail to anna\n", "nobody understands b'{'\n", "mail to ben\n")
    example.interrupt()


def test_publish(start_nsqd: Callable[..., Daemon], run: Any) -> None:
    nsqd = start_nsqd()
    output = run("publish.py", NSQD_TCP_ADDRESS=nsqd.tcp_address).ends()
    assert "published 1003\n" in output
    assert "2000000 bytes" in output
    eventually(lambda: message_counts(nsqd) == {"events": 1003})


def test_publish_fast(broker: Daemon, run: Any) -> None:
    output = run("publish_fast.py", NSQD_TCP_ADDRESS=broker.tcp_address).ends()
    assert output == "published 20000\n"
    assert message_counts(broker)["measurements"] == 20_000


def test_publish_from_threads(start_nsqd: Callable[..., Daemon], run: Any) -> None:
    nsqd = start_nsqd()
    assert run("publish_from_threads.py", NSQD_TCP_ADDRESS=nsqd.tcp_address).ends() == "published 101 and 1\n"
    assert message_counts(nsqd) == {"events": 102}


def test_log_to_nsq(broker: Daemon, run: Any) -> None:
    run("log_to_nsq.py", NSQD_TCP_ADDRESS=broker.tcp_address).ends()
    assert message_counts(broker)["logs"] == 2


def test_secure(start_nsqd: Callable[..., Daemon], run: Any, tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    with AuthServer() as auth:
        auth.grants["geheim"] = [ALL]
        nsqd = start_nsqd(
            tls_cert=files.server, tls_key=files.server_key, auth_http_addresses=(auth.address,)
        )
        example = run("secure.py", NSQD_TCP_ADDRESS=nsqd.tcp_address, CA_FILE=files.ca, NSQ_SECRET="geheim")
        assert example.ends() == "for your eyes only\n"


def test_push_in_tornado(start_nsqd: Callable[..., Daemon], run: Any) -> None:
    nsqd = start_nsqd()
    example = run("push_in_tornado.py", NSQD_TCP_ADDRESS=nsqd.tcp_address, PORT="0")
    example.prints("/\n")
    page = example.output.strip()
    assert b"/live/stream/events" in urlopen(page, timeout=10).read()
    asking = Request(f"{page}live/stream/events", headers={"Accept": "text/event-stream"})
    with urlopen(asking, timeout=10) as stream:
        publish(nsqd, "events", b"hello")
        while stream.readline() != b"data: hello\n":
            pass
    assert example.interrupt().endswith("stopped\n")
