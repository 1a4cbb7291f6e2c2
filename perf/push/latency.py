"""`make bench-push-latency`: how old a message is when it comes out of a browser's socket.

From before it is published to nsqd until a client in C has read it, through `nsqgw push` as users run it,
with one core of its own; nsqd and the clients have another. A crowd first; then a smaller audience in turns
without and with two browsers among it that read slowly or not at all, while big messages are on their way to
them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from harness.embedded import EmbeddedNsqd
from harness.polling import eventually
from harness.real import BIN, RealNsqd
from harness.wire import Wire
from perf.compare.peers import ROOT
from perf.compare.report import about, write_section
from perf.push.__main__ import compiled, on_core

TOPIC, HEAVY = "load", "heavy"
MESSAGE_BYTES = 200
HEAVY_BYTES = 100_000
HEAVY_RATE = 20
CROWD_TARGET = 0.25
"""Seconds, for 99 of 100."""
NEIGHBOUR_TARGET = 0.10
"""What a stalled and a slow browser may add to the others' 99 of 100, as a part of it."""
REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)


class Ages(NamedTuple):
    """What the clients say since they were last asked; times in seconds."""

    messages: int
    median: float
    within: float
    worst: float
    open: int


class Listeners:
    """The clients in C."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self) -> Ages:
        self._process.send_signal(signal.SIGUSR1)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("make bench-push-latency: the clients ended; their words are above")
        messages, median, within, worst, count = map(int, line.split())
        return Ages(messages, median / 1e6, within / 1e6, worst / 1e6, count)


class Gateway:
    """`nsqgw push` in front of an nsqd, on a core of its own."""

    def __init__(self, nsqd: str, folder: Path) -> None:
        self.nsqd = nsqd
        self._log = folder / "push.log"
        self.process = subprocess.Popen(
            [
                *on_core(0),
                *(sys.executable, "-m", "gateways.cli.main", "push", "--listen=127.0.0.1:0"),
                *(f"--topic={TOPIC}", f"--topic={HEAVY}", f"--nsqd-tcp-address={nsqd}", "--admin-address="),
            ],
            cwd=ROOT,
            stderr=self._log.open("wb"),
        )
        self.address = eventually(self._listening, timeout=30)

    def _listening(self) -> str:
        log = self._log.read_text()
        assert self.process.poll() is None, log
        found = re.search(r"http://(127\.0\.0\.1:\d+)", log)
        return found[1] if found else ""

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def message() -> bytes:
    """A message that tells when it was made."""
    head = b'{"at":"%019d","text":"' % time.monotonic_ns()
    return head + b"x" * (MESSAGE_BYTES - len(head) - 2) + b'"}'


def publish(nsqd: str, rate: float, seconds: float) -> int:
    """Messages at an even rate; how many there were."""
    began, count = time.monotonic(), round(rate * seconds)
    with Wire(nsqd) as wire:
        for number in range(count):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            wire.ok(b"PUB %s" % TOPIC.encode(), message())
    return count


@contextmanager
def listening(gateway: Gateway, count: int, folder: Path) -> Iterator[Listeners]:
    """So many clients, all connected."""
    port = gateway.address.rpartition(":")[2]
    command = [*on_core(1), f"{folder}/listeners", port, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(REQUEST.format(path=f"/stream/{TOPIC}", host=gateway.address, more=""))
            process.stdin.close()
            if process.stdout.readline() != "ready\n":
                sys.exit("make bench-push-latency: not all clients came in; their words are above")
            yield Listeners(process)
        finally:
            process.kill()


class RudeBrowser:
    """Follows both topics and takes `rate` bytes a second, or none; connects again when it is sent off."""

    def __init__(self, gateway: Gateway, rate: int) -> None:
        self._gateway = gateway
        self._rate = rate
        self._ended = threading.Event()
        self.connections = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> RudeBrowser:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(ConnectionError), self._connected() as wire:
                self.connections += 1
                self._dawdle(wire)

    def _connected(self) -> socket.socket:
        host, _, port = self._gateway.address.rpartition(":")
        wire = socket.socket()
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.settimeout(10)
        wire.connect((host, int(port)))
        more = "Sec-WebSocket-Protocol: nsqgw.v1.json\r\n"
        wire.sendall(REQUEST.format(path="/connect", host=self._gateway.address, more=more).encode())
        for number, channel in enumerate((TOPIC, HEAVY), 1):
            command = json.dumps({"id": number, "op": "subscribe", "channel": channel}).encode()
            wire.sendall(bytes([0x81, 0x80 | len(command), 0, 0, 0, 0]) + command)
        return wire

    def _dawdle(self, wire: socket.socket) -> None:
        """Until the gateway has had enough: with what is in flight read, its close is an end or a reset."""
        while not self._ended.wait(0.1):
            if self._rate:
                if not wire.recv(self._rate // 10):
                    return
            elif self._gone(wire):
                return

    def _gone(self, wire: socket.socket) -> bool:
        state = wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return state != 1  # not ESTABLISHED any more


@contextmanager
def heavy_load(nsqd: str) -> Iterator[None]:
    """Big messages, for those who follow them."""
    ended = threading.Event()

    def run() -> None:
        with Wire(nsqd) as wire:
            while not ended.wait(1 / HEAVY_RATE):
                wire.ok(b"PUB %s" % HEAVY.encode(), b"x" * HEAVY_BYTES)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def crowd(gateway: Gateway, sockets: int, rate: int, seconds: float, folder: Path) -> str:
    """A row about many sockets."""
    with listening(gateway, sockets, folder) as listeners:
        publish(gateway.nsqd, rate, 2.0)
        time.sleep(1.0)  # what was published has arrived, or is too late for the measure that follows
        listeners.ask()
        cpu = gateway.cpu()
        count = publish(gateway.nsqd, rate, seconds)
        time.sleep(2.0)  # eight times the target
        cpu, ages = gateway.cpu() - cpu, listeners.ask()
    missing = count * sockets - ages.messages
    reached = "reached" if ages.within <= CROWD_TARGET and not missing and ages.open == sockets else "missed"
    return (
        f"| {sockets} sockets, {rate} messages a second | {ages.messages} of {count * sockets} | "
        f"{ages.median * 1e3:.0f} ms | {ages.within * 1e3:.0f} ms | {ages.worst * 1e3:.0f} ms | "
        f"{cpu / seconds:.0%} | p99 below {CROWD_TARGET * 1e3:.0f} ms: {reached} |"
    )


def neighbours(
    gateway: Gateway, sockets: int, rate: int, rounds: int, seconds: float, folder: Path
) -> list[str]:
    """Rows about the audience of two browsers that do not read."""
    alone: list[Ages] = []
    together: list[Ages] = []
    with listening(gateway, sockets, folder) as listeners, heavy_load(gateway.nsqd):
        publish(gateway.nsqd, rate, 1.0)
        for _ in range(rounds):
            listeners.ask()
            publish(gateway.nsqd, rate, seconds)
            alone.append(listeners.ask())
            with RudeBrowser(gateway, 0) as stalled, RudeBrowser(gateway, 100_000) as slow:
                eventually(lambda: stalled.connections and slow.connections)
                publish(gateway.nsqd, rate, seconds)
                together.append(listeners.ask())
    ratio = statistics.median(
        rude.within / polite.within for rude, polite in zip(together, alone, strict=True)
    )
    reached = "reached" if ratio <= 1 + NEIGHBOUR_TARGET and together[-1].open == sockets else "missed"
    rows = []
    for name, ages in (("alone", alone), ("with one that is stalled and one that is slow", together)):
        shown = [statistics.median(values) * 1e3 for values in zip(*[age[1:4] for age in ages], strict=True)]
        rows.append(f"| {sockets} sockets, {rate} messages a second, {name} | | {shown[0]:.1f} ms | "
                    f"{shown[1]:.1f} ms | {shown[2]:.1f} ms | | |")  # fmt: skip
    rows.append(
        f"| the one to the other, median of {rounds} rounds | | | {ratio:.2f} | | | "
        f"at most {1 + NEIGHBOUR_TARGET:.2f}: {reached} |"
    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-push-latency", description=__doc__)
    parser.add_argument("--sockets", type=int, default=10_000, help="of the crowd (default: 10000)")
    parser.add_argument("--seconds", type=float, default=20.0, help="that the crowd listens (default: 20)")
    parser.add_argument("--rounds", type=int, default=7, help="without and with rude browsers (default: 7)")
    parser.add_argument("--part", type=float, default=1.0, help="of the five seconds of a round (default: 1)")
    parser.add_argument("--write", action="store_true", help="put the table into perf/RESULTS.md")
    arguments = parser.parse_args()
    real = (BIN / "nsqd").exists()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        compiled(str(folder), "listeners")
        nsqd = (RealNsqd if real else EmbeddedNsqd)()
        nsqd.start()
        stack.callback(nsqd.close)
        gateway = stack.enter_context(contextlib.closing(Gateway(nsqd.tcp_address, folder)))
        rows = [crowd(gateway, arguments.sockets, 10, arguments.seconds, folder)]
        audience, seconds = min(1000, arguments.sockets), 5.0 * arguments.part
        rows += neighbours(gateway, audience, 20, arguments.rounds, seconds, folder)
    lines = [
        ", ".join(about("real" if real else "compat", "bench-push-latency").values()) + ".",
        "",
        "| audience | came | p50 | p99 | slowest | CPU of the gateway | wanted |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *rows,
    ]
    print("\n".join(lines))
    if arguments.write:
        write_section("push-latency", "\n".join(lines))


if __name__ == "__main__":
    main()
