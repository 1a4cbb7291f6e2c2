"""`make bench-brokers`: our nsqd next to the original, in turns, under the same load."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.http import post
from harness.real import RealNsqd
from perf.brokers.driver import CHANNEL, TOPIC
from perf.compare.peers import ROOT
from perf.compare.report import about, write_section
from perf.load import BODY_SIZE, ROOMY, OurNsqd

TICKS = os.sysconf("SC_CLK_TCK")
DISK = {"mem_queue_size": 0}


@dataclass(frozen=True)
class Row:
    """One line of the table: what is measured, in which unit, and which ratio to the original is wanted.

    `most` says that the ratio may at most be so, `least` that it has to be so at least.
    """

    name: str
    unit: str
    measure: Callable[[RealNsqd, int], float]
    count: int
    flags: dict[str, Any]
    most: float | None = None
    least: float | None = None

    def verdict(self, ratio: float) -> str:
        if self.most is not None:
            return f"at most {self.most:g}x: " + ("reached" if ratio <= self.most else "missed")
        return f"at least {self.least:g}x: " + ("reached" if ratio >= (self.least or 0) else "missed")


def drive(daemon: RealNsqd, work: str, count: int, **settings: Any) -> dict[str, float]:
    """What the driver says at the end."""
    task = {"address": daemon.tcp_address, "size": BODY_SIZE, "count": count, "work": work} | settings
    command = [sys.executable, "-m", "perf.brokers.driver", json.dumps(task)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=900, check=False)
    if done.returncode:
        sys.exit("make bench-brokers: the driver failed; its words are above")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def cpu_seconds(daemon: RealNsqd) -> float:
    """User and system time of the broker so far."""
    assert daemon.process is not None
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(daemon: RealNsqd) -> int:
    """Bytes the broker holds in memory."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def singles(daemon: RealNsqd, count: int) -> float:
    before = cpu_seconds(daemon)
    drive(daemon, "through_singles", count, window=1000)
    return (cpu_seconds(daemon) - before) / count * 1e6


def batches(daemon: RealNsqd, count: int) -> float:
    before = cpu_seconds(daemon)
    drive(daemon, "through_batches", count, window=10, batch=100)
    return count / (cpu_seconds(daemon) - before)


def memory(daemon: RealNsqd, count: int) -> float:
    before = resident(daemon)
    drive(daemon, "fill", count, window=10, batch=100)
    return (resident(daemon) - before) / count


def connections(daemon: RealNsqd, count: int) -> float:
    before = resident(daemon)
    task = {"address": daemon.tcp_address, "count": count, "work": "idle"}
    command = [sys.executable, "-m", "perf.brokers.driver", json.dumps(task)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as driver:  # type: ignore[call-overload]
        driver.stdout.readline()
        figure = (resident(daemon) - before) / count
        driver.communicate("\n", timeout=60)
    return float(figure)


def disk(daemon: RealNsqd, count: int) -> float:
    seconds = drive(daemon, "fill", count, window=10, batch=100)["seconds"]
    return count / (seconds + drive(daemon, "drain", count)["seconds"])


ROWS = (
    Row("publish one by one, deliver, FIN", "us CPU a message", singles, 200_000, ROOMY, most=1.0),
    Row("MPUB of 100, deliver, FIN", "messages per CPU second", batches, 500_000, ROOMY, least=0.8),
    Row("a million queued messages of 200 B", "bytes a message", memory, 1_000_000, ROOMY, most=1.5),
    Row("idle consumers", "bytes a connection", connections, 10_000, {}, most=1.0),
    Row("disk queue, written and read back", "messages/s", disk, 300_000, DISK, least=0.5),
)


def run(row: Row, kind: type[RealNsqd], part: float) -> float:
    """One figure of a broker that was started for it."""
    daemon = kind(**row.flags)
    daemon.start()
    try:
        post(daemon.http_address, f"/topic/create?topic={TOPIC}")
        post(daemon.http_address, f"/channel/create?topic={TOPIC}&channel={CHANNEL}")
        return row.measure(daemon, max(2000, round(row.count * part / 1000) * 1000))
    finally:
        daemon.close()


def whole_way(count: int) -> str:
    """Everything in Python on this machine: our producer, broker and consumer."""
    daemon = OurNsqd(**ROOMY)
    daemon.start()
    try:
        figures = drive(daemon, "through_batches", count, window=10, batch=100)
    finally:
        daemon.close()
    rate = count / figures["seconds"] * 60
    verdict = "reached" if rate >= 10e6 else "missed"
    return (
        "Everything in Python on two cores, producer and consumer in one process, our broker in another, "
        f"MPUBs of 100, {count:,} messages: {rate / 1e6:.1f} million a minute (wanted 10 million: {verdict})."
    )


def tell(row: Row, ours: list[float], theirs: list[float]) -> str:
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    return (
        f"| {row.name} | {row.unit} | {statistics.median(ours):,.1f} | {statistics.median(theirs):,.1f} "
        f"| {ratio:.2f}x ({min(ratios):.2f} to {max(ratios):.2f}) | {row.verdict(ratio)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-brokers", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds of each row (default: 3)")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--part", type=float, default=1.0, help="this part of the messages, 0.1 for a try")
    parser.add_argument("--write", action="store_true", help="put the table into perf/RESULTS.md")
    arguments = parser.parse_args()
    lines = [
        "| work, 200 B bodies | unit | ours | nsqd 1.3.0 | ours / nsqd | wanted |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in ROWS:
        if arguments.only in row.name:
            pairs = [
                [run(row, kind, arguments.part) for kind in (OurNsqd, RealNsqd)]
                for _ in range(arguments.runs)
            ]
            lines.append(tell(row, [ours for ours, _ in pairs], [theirs for _, theirs in pairs]))
            print(lines[-1], flush=True)
    text = ", ".join(about("real", "bench-brokers").values()) + ".\n\n" + "\n".join(lines)
    if not arguments.only:
        text += "\n\n" + whole_way(max(100_000, round(3_000_000 * arguments.part)))
    print("\n" + text)
    if arguments.write:
        write_section("brokers", text)


if __name__ == "__main__":
    main()
