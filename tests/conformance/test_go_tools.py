"""The originals' tools on our daemons and on the originals (admin-and-tools sections 3 to 8)."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.daemons import Daemon
from harness.http import channel_stats, get, post, stats
from harness.polling import eventually
from harness.real import require

StartDaemon = Callable[..., Daemon]
RunTool = Callable[..., "subprocess.Popen[bytes]"]

BODIES = [b"%d: \xc3\xa9" % number for number in range(50)]


@pytest.fixture
def begin() -> Iterator[RunTool]:
    """Starts a tool in the background; what is left of it is killed at the end."""
    with ExitStack() as running:

        def start(program: str, *flags: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [require(program), *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            running.callback(_end, process)
            return process

        yield start


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


def to_nsq(nsqd: Daemon, topic: str, bodies: list[bytes]) -> None:
    done = subprocess.run(
        [require("to_nsq"), f"-topic={topic}", f"-nsqd-tcp-address={nsqd.tcp_address}"],
        input=b"".join(body + b"\n" for body in bodies),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def printed(process: subprocess.Popen[bytes]) -> list[bytes]:
    output, _ = process.communicate(timeout=30)
    return output.splitlines()


def test_to_nsq_publishes_and_c_tool_9_nsq_tail_prints(broker: Daemon, topic: str, begin: RunTool) -> None:
    tail = begin("nsq_tail", f"-topic={topic}", "-n=50", f"-nsqd-tcp-address={broker.tcp_address}")
    eventually(lambda: stats(broker.http_address, f"&topic={topic}")["topics"])
    eventually(lambda: stats(broker.http_address, f"&topic={topic}")["topics"][0]["channels"])
    to_nsq(broker, topic, BODIES)
    assert sorted(printed(tail)) == sorted(BODIES)
    # C-TOOL-8: its channel was ephemeral.
    eventually(lambda: not stats(broker.http_address, f"&topic={topic}")["topics"][0]["channels"])


def test_nsq_tail_finds_nsqd_by_nsqlookupd(
    start_nsqlookupd: StartDaemon, start_nsqd: StartDaemon, begin: RunTool
) -> None:
    lookupd = start_nsqlookupd()
    nsqd = start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))
    post(nsqd.http_address, "/mpub?topic=t", b"a\nb\nc")
    eventually(lambda: get(lookupd.http_address, "/lookup?topic=t").status == 200)
    tail = begin(
        "nsq_tail", "-topic=t", "-channel=c", "-n=3", f"-lookupd-http-address={lookupd.http_address}"
    )
    assert sorted(printed(tail)) == [b"a", b"b", b"c"]


def test_c_tool_10_nsq_stat_prints_what_is_counted(broker: Daemon, topic: str, begin: RunTool) -> None:
    post(broker.http_address, f"/topic/create?topic={topic}")
    post(broker.http_address, f"/channel/create?topic={topic}&channel=c")
    post(broker.http_address, f"/mpub?topic={topic}", b"a\nb\nc")
    flags = (f"-topic={topic}", "-channel=c", "-interval=100ms", "-count=3")
    lines = printed(begin("nsq_stat", *flags, f"-nsqd-http-address={broker.http_address}"))
    figures = [line.replace(b"|", b" ").split() for line in lines if re.match(rb"\s*\d", line)]
    assert [row[2] for row in figures] == [b"3"] * 3


def test_nsq_to_file_writes_what_it_finished(
    broker: Daemon, topic: str, begin: RunTool, tmp_path: Path
) -> None:
    flags = (f"-topic={topic}", "-channel=file", f"-output-dir={tmp_path}", "-sync-interval=100ms", "-gzip")
    writer = begin("nsq_to_file", *flags, f"-nsqd-tcp-address={broker.tcp_address}")
    eventually(lambda: channel_stats(broker.http_address, topic, "file"))
    to_nsq(broker, topic, BODIES)

    def finished() -> bool:
        return channel_stats(broker.http_address, topic, "file")["clients"][0]["finish_count"] == len(BODIES)

    eventually(finished)
    writer.terminate()
    assert writer.wait(30) == 0
    (file,) = tmp_path.glob("*.gz")
    assert sorted(gzip.decompress(file.read_bytes()).splitlines()) == sorted(BODIES)


def test_nsq_to_nsq_copies(broker: Daemon, topic: str, begin: RunTool) -> None:
    post(broker.http_address, f"/mpub?topic={topic}", b"\n".join(BODIES))
    copy = f"{topic}-copy"
    begin(
        "nsq_to_nsq",
        f"-topic={topic}",
        f"-destination-topic={copy}",
        f"-nsqd-tcp-address={broker.tcp_address}",
        f"-destination-nsqd-tcp-address={broker.tcp_address}",
    )
    tail = begin(
        "nsq_tail", f"-topic={copy}", "-channel=c", "-n=50", f"-nsqd-tcp-address={broker.tcp_address}"
    )
    assert sorted(printed(tail)) == sorted(BODIES)
    post(broker.http_address, f"/topic/delete?topic={copy}")


def test_nsq_to_http_posts_to_nsqd_itself(broker: Daemon, topic: str, begin: RunTool) -> None:
    post(broker.http_address, f"/mpub?topic={topic}", b"\n".join(BODIES))
    target = f"{topic}-posted"
    begin(
        "nsq_to_http",
        f"-topic={topic}",
        f"-nsqd-tcp-address={broker.tcp_address}",
        f"-post=http://{broker.http_address}/pub?topic={target}",
    )

    def received() -> bool:
        topics = stats(broker.http_address, f"&topic={target}")["topics"]
        return bool(topics) and topics[0]["message_count"] == len(BODIES)

    eventually(received)
    eventually(lambda: channel_stats(broker.http_address, topic, "nsq_to_http")["in_flight_count"] == 0)
    post(broker.http_address, f"/topic/delete?topic={target}")
