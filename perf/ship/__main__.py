"""`make bench-ship`: `nsqgw ship` next to the original nsq_to_http and nsq_to_file, in turns, on one nsqd.

Of several settings of an original the best counts. Equal durability: both sides sync a file before they
finish a message, and finish one that went by HTTP when the service has answered.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.real import BIN, RealNsqd
from perf.compare.report import about, write_section
from perf.load import start_broker
from perf.ship.programs import MAX_RDY, Program, nsq_to_file, nsq_to_http, ship, ship_with_transforms
from perf.ship.run import Figures, to_file, to_service

DELAY = 0.02  # seconds the service takes for an answer

Measure = Callable[[RealNsqd, Program, int], Figures]


@dataclass(frozen=True)
class Work:
    """One comparison; `counts` are the events for ours and for the others, which are slower.

    Ours is to ship `per_core` events in a second of CPU, and `times` as many a second as the best of the
    others.
    """

    name: str
    measure: Measure
    ours: Program
    others: Sequence[Program]
    counts: tuple[int, int]
    per_core: int
    times: float = 0.0


HTTP = f"HTTP NDJSON, batches of 1000, {DELAY * 1000:g} ms a request"


def _to_service(daemon: RealNsqd, program: Program, count: int) -> Figures:
    return to_service(daemon, program, count, DELAY)


WORKS = (
    Work(
        HTTP,
        _to_service,
        ship("nsqgw ship", "http://%s/in", "--batch-max-messages=1000"),
        [nsq_to_http(100), nsq_to_http(1000)],
        (400_000, 20_000),
        per_core=80_000,
        times=20.0,
    ),
    Work(HTTP, _to_service, ship_with_transforms(), [], (400_000, 0), per_core=40_000),
    Work(
        "file, synced before FIN",
        to_file,
        ship("nsqgw ship", "file:%s/out", "--batch-max-messages=1000"),
        [nsq_to_file(200), nsq_to_file(1000), nsq_to_file(MAX_RDY)],
        (400_000, 200_000),
        per_core=80_000,
        times=3.0,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-ship", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds of each work (default: 3)")
    parser.add_argument("--only", default="", help="only works whose name contains this")
    parser.add_argument("--part", type=float, default=1.0, help="this part of the messages, 0.1 for a try")
    parser.add_argument("--write", action="store_true", help="put the table into perf/RESULTS.md")
    arguments = parser.parse_args()
    if not (BIN / "nsq_to_http").exists():
        sys.exit("make bench-ship: the original tools are not there: run make real-daemons (needs Go)")
    lines = [
        "| work, 200 B bodies | program | events/s | CPU an event | ours, times | wanted |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    daemon = start_broker()
    try:
        for work in WORKS:
            if arguments.only in work.name:
                lines += _rows(work, _measured(daemon, work, arguments.runs, arguments.part))
    finally:
        daemon.close()
    text = ", ".join(about(daemon.kind, "bench-ship").values()) + ".\n\n" + "\n".join(lines)
    print("\n" + text)
    if arguments.write:
        write_section("ship", text)


def _measured(daemon: RealNsqd, work: Work, runs: int, part: float) -> dict[Program, list[Figures]]:
    """The figures of each program; they take turns."""
    figures: dict[Program, list[Figures]] = {}
    for _ in range(runs):
        for program in (work.ours, *work.others):
            count = work.counts[program is not work.ours]
            figures.setdefault(program, []).append(
                work.measure(daemon, program, max(2000, round(count * part / 1000) * 1000))
            )
            print(f"{work.name}: {program.name}: {figures[program][-1]}", flush=True)
    return figures


def _rows(work: Work, figures: dict[Program, list[Figures]]) -> list[str]:
    best = max(figures, key=lambda program: (program in work.others, _rate(figures[program])))
    rows = []
    for program, runs in figures.items():
        cpu = statistics.median(each.cpu for each in runs)
        times = wanted = ""
        if program is work.ours:
            per_core = 1e6 / cpu
            wanted = f"{work.per_core:,} events/s/core: "
            wanted += ("reached" if per_core >= work.per_core else "missed") + f", {per_core:,.0f}"
        else:
            ratios = [our.rate / their.rate for our, their in zip(figures[work.ours], runs, strict=True)]
            ratio = statistics.median(ratios)
            times = f"{ratio:.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
            if program is best:
                wanted = f"at least {work.times:g}x: " + ("reached" if ratio >= work.times else "missed")
        rows.append(
            f"| {work.name} | {program.name} | {_rate(runs):,.0f} | {cpu:.1f} us | {times} | {wanted} |"
        )
    return rows


def _rate(runs: Sequence[Figures]) -> float:
    return statistics.median(each.rate for each in runs)


if __name__ == "__main__":
    main()
