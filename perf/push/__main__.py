"""`make bench-push`: what a delivery to a WebSocket costs the server, next to C, tornado and websockets.

Every server is a process of its own on one core; the audience, in C, reads on another. All are up at once and
take turns, so that a noisy machine is noisy for all of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from perf.compare.peers import ROOT
from perf.compare.report import about, write_section
from perf.push.servers import BODY, TOPIC

HERE = Path(__file__).parent
FRAME_BYTES = len(BODY) + 4
REQUEST = (
    f"GET /stream/{TOPIC} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FLOOR = "C loop of send()"
SERVERS = {
    FLOOR: "floor",
    "nsqgw push": "ours",
    "nsqgw push on uvloop": "ours+uvloop",
    "tornado write_message": "tornado",
    "websockets broadcast()": "broadcast",
}
OURS = ("nsqgw push", "nsqgw push on uvloop")
MEMORY_TARGET = 8192


@dataclass(frozen=True)
class Load:
    """A way to broadcast: how often, how many messages in one go, seconds between."""

    name: str
    broadcasts: int
    joined: int = 1
    pause: float = 0.0


BURST = Load("one message a write, back to back", 20)
PACED = Load("one message a write, 20 a second", 20, pause=0.05)
JOINED = Load("10 messages a turn", 5, joined=10)
LOADS = (BURST, PACED, JOINED)

TARGETS = (
    (BURST, BURST, FLOOR, 1.2),
    (PACED, PACED, FLOOR, 1.35),
    (BURST, BURST, "tornado write_message", 0.4),
    (BURST, BURST, "websockets broadcast()", 0.7),
)
"""Our cost under a load is at most so many times the cost of another under a load."""
JOINED_TARGET = 0.15


class Running:
    """A server with its audience."""

    def __init__(self, kind: str, process: subprocess.Popen[str], sockets: int) -> None:
        self.kind = kind
        self.process = process
        self.sockets = sockets
        self.idle_bytes = 0.0

    def line(self) -> str:
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said:
            sys.exit(f"make bench-push: {self.kind} ended; its words are above")
        return said

    def cost(self, load: Load) -> float:
        """Seconds of CPU for a million deliveries."""
        assert self.process.stdin is not None
        if self.kind == "floor":
            task = f"{load.broadcasts} {FRAME_BYTES * load.joined} {round(load.pause * 1e6)}"
        else:
            task = f"{load.broadcasts} {load.joined} {load.pause}"
        self.process.stdin.write(task + "\n")
        self.process.stdin.flush()
        return float(self.line()) / (load.broadcasts * load.joined * self.sockets) * 1e6


def compiled(folder: str, name: str) -> str:
    """The program made from a C file beside this one."""
    compiler = shutil.which("cc") or sys.exit("make bench-push: needs a C compiler (apt-get install gcc)")
    program = f"{folder}/{name}"
    subprocess.run([compiler, "-O2", "-o", program, HERE / f"{name}.c"], check=True, timeout=60)
    return program


def on_core(core: int) -> list[str]:
    """The prefix of a command that keeps it there; none where there is no second core."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core])] if len(cores) > 1 and shutil.which("taskset") else []


@contextmanager
def running(kind: str, sockets: int, folder: str) -> Iterator[Running]:
    """A server of a kind, with all its sockets open."""
    if kind == "floor":
        command = [f"{folder}/floor", str(sockets)]
    else:
        command = [sys.executable, "-m", "perf.push.servers", kind, str(sockets)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        server: subprocess.Popen[str] = subprocess.Popen([*on_core(0), *command], cwd=ROOT, **pipes)  # type: ignore[call-overload]
        stack.enter_context(server)
        stack.callback(server.kill)
        found = Running(kind, server, sockets)
        port = found.line().strip()
        before = float(found.line()) if kind != "floor" else 0.0
        audience: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload]
            [*on_core(1), f"{folder}/audience", port, str(sockets)], **pipes
        )
        stack.enter_context(audience)
        stack.callback(audience.kill)
        _ask(audience.stdin, audience.stdout)
        if kind != "floor":
            found.idle_bytes = (float(found.line()) - before) / sockets
        yield found


def _ask(to: IO[str], answers: IO[str]) -> None:
    to.write(REQUEST)
    to.close()
    if answers.readline() != "ready\n":
        sys.exit("make bench-push: the audience did not come in; its words are above")


def measured(sockets: int, runs: int) -> dict[str, dict[Load, list[float]]]:
    """The costs of every server under every load, in turns."""
    costs: dict[str, dict[Load, list[float]]] = {name: {load: [] for load in LOADS} for name in SERVERS}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name in ("floor", "audience"):
            compiled(folder, name)
        servers = {
            name: stack.enter_context(running(kind, sockets, folder)) for name, kind in SERVERS.items()
        }
        for server in servers.values():
            server.cost(Load("warm", 5))
        for load in LOADS:
            for _ in range(runs):
                for name, server in servers.items():
                    costs[name][load].append(server.cost(load))
    return costs


def idle(sockets: int) -> dict[str, float]:
    """Bytes of memory a socket that hears nothing, by server."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("floor", "audience"):
            compiled(folder, name)
        for name, kind in SERVERS.items():
            if kind != "floor":
                with running(kind, sockets, folder) as server:
                    found[name] = server.idle_bytes
    return found


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over rounds of what ours costs for one of theirs."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def table(costs: dict[str, dict[Load, list[float]]], memory: dict[str, float]) -> str:
    """What was measured and whether it is what was wanted, as Markdown."""
    lines = [
        f"| server | {' | '.join(load.name for load in LOADS)} | KiB an idle socket |",
        "| --- |" + " --- |" * (len(LOADS) + 1),
    ]
    for name, by_load in costs.items():
        cells = [
            f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
            for found in by_load.values()
        ]
        kept = f"{memory[name] / 1024:.1f}" if name in memory else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {kept} |")
    lines += ["", "| ratio | on asyncio | on uvloop | wanted |", "| --- | --- | --- | --- |"]
    for load, their_load, other, most in TARGETS:
        ratios = [ratio(costs[name][load], costs[other][their_load]) for name in OURS]
        lines.append(_verdict(f"{load.name}: to {other}", ratios, most))
    ratios = [ratio(costs[name][JOINED], costs[name][BURST]) for name in OURS]
    lines.append(_verdict(f"{JOINED.name} to one message a write", ratios, JOINED_TARGET))
    kept_bytes = max(memory[name] for name in OURS)
    reached = "reached" if kept_bytes <= MEMORY_TARGET else "missed"
    lines += ["", f"An idle WebSocket may take {MEMORY_TARGET // 1024} KiB: {reached}."]
    return "\n".join(lines)


def _verdict(what: str, ratios: list[float], most: float) -> str:
    verdict = "reached" if min(ratios) <= most else "missed"
    return f"| {what} | {ratios[0]:.2f} | {ratios[1]:.2f} | at most {most:g}: {verdict} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-push", description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--idle-sockets", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=7, help="rounds of each load (default: 7)")
    parser.add_argument("--write", action="store_true", help="put the tables into perf/RESULTS.md")
    arguments = parser.parse_args()
    known = about("real", "bench-push")
    text = (
        ", ".join(known[name] for name in ("date", "command", "machine", "python"))
        + f".\n\nSeconds of the server's CPU for a million deliveries of {len(BODY)} bytes, "
        f"{arguments.sockets} sockets, median (lowest to highest) of {arguments.runs} rounds in turns; "
        f"memory with {arguments.idle_sockets} idle sockets.\n\n"
        + table(measured(arguments.sockets, arguments.runs), idle(arguments.idle_sockets))
    )
    print(text)
    if arguments.write:
        write_section("push", text)


if __name__ == "__main__":
    main()
