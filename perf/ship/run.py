"""One run of one program: a full channel is let go, and the time taken until everything has arrived."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.http import channel_stats, get, post
from harness.polling import eventually
from harness.real import RealNsqd
from perf.compare.peers import ROOT
from perf.load import drop, fill
from perf.ship.programs import CHANNEL, MAX_RDY, Program

TICKS = os.sysconf("SC_CLK_TCK")
TIMEOUT = 300.0

BODY = b'{"n":1234567,"level":"info","service":"web","message":"%s"}' % (b"x" * 145)

_topics = (f"shipped-{number}" for number in itertools.count())


@dataclass(frozen=True)
class Figures:
    """Of one run: events a second, and microseconds of the program's CPU, user and system, for an event."""

    rate: float
    cpu: float


@contextlib.contextmanager
def service(delay: float) -> Iterator[str]:
    """The address of a log service that takes `delay` seconds for an answer."""
    command = [sys.executable, "-m", "perf.ship.service", str(delay)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def to_service(daemon: RealNsqd, program: Program, count: int, delay: float) -> Figures:
    """To HTTP; everything has arrived when the service has taken the last event in."""
    with service(delay) as address, _running(daemon, program, count, address) as (process, topic):
        started, cpu = _let_go(daemon, topic, process)
        eventually(lambda: get(address, "/").json["events"] >= count, TIMEOUT, program.name)
        ended = get(address, "/").json["last"]
        eventually(lambda: _left(daemon, topic) == 0, TIMEOUT, program.name)
        return _figures(count, ended - started, _cpu(process) - cpu)


def to_file(daemon: RealNsqd, program: Program, count: int) -> Figures:
    """To a file: until nsqd has only as many messages left as may wait for the last sync of all."""
    with (
        tempfile.TemporaryDirectory(dir=ROOT / ".cache") as folder,
        _running(daemon, program, count, folder) as (process, topic),
    ):
        started, cpu = _let_go(daemon, topic, process)
        left = eventually(lambda: _at_most(MAX_RDY, _left(daemon, topic)), TIMEOUT, program.name)
        elapsed = time.monotonic() - started
        figures = _figures(count - int(left), elapsed, _cpu(process) - cpu)
        eventually(lambda: _left(daemon, topic) == 0, TIMEOUT, program.name)
        lines = sum(path.read_bytes().count(b"\n") for path in Path(folder).rglob("*") if path.is_file())
        assert lines >= count, f"{program.name} lost {count - lines} events"
        return figures


def _at_most(most: int, left: int) -> str | None:
    return str(left) if left <= most else None


def _figures(count: int, elapsed: float, cpu: float) -> Figures:
    return Figures(count / elapsed, cpu / count * 1e6)


@contextlib.contextmanager
def _running(
    daemon: RealNsqd, program: Program, count: int, target: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The program, connected to a paused channel with `count` messages."""
    topic = next(_topics)
    fill(daemon, topic, CHANNEL, count, BODY)
    post(daemon.http_address, f"/channel/pause?topic={topic}&channel={CHANNEL}")
    command = program.command(daemon.tcp_address, topic, target)
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: channel_stats(daemon.http_address, topic, CHANNEL)["clients"], 30.0)
            time.sleep(0.5)  # what programs do at the start is not measured
            yield process, topic
        finally:
            process.kill()
    drop(daemon, topic)


def _let_go(daemon: RealNsqd, topic: str, process: subprocess.Popen[bytes]) -> tuple[float, float]:
    cpu = _cpu(process)
    started = time.monotonic()
    post(daemon.http_address, f"/channel/unpause?topic={topic}&channel={CHANNEL}")
    return started, cpu


def _cpu(process: subprocess.Popen[bytes]) -> float:
    """User and system time so far, seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _left(daemon: RealNsqd, topic: str) -> int:
    channel = channel_stats(daemon.http_address, topic, CHANNEL)
    return int(channel["depth"] + channel["in_flight_count"] + channel["deferred_count"])
