"""`make bench-compare`: nsqgw and other clients on the same nsqd in the same run.

Runs of the clients alternate, and of each figure the median counts, so that what else the machine does meets
all. CPU is user and system time of the client's process from before it connects until all is answered.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perf.compare.imports import measure_import
from perf.compare.peers import CLIENTS, NSQGW, GoPeer, Peer, Unavailable
from perf.compare.plot import draw
from perf.compare.report import RESULTS, about, as_table, write_section
from perf.compare.results import Results
from perf.compare.run import ClientFailed, Figures, measure
from perf.compare.scenarios import LATENCY, SCENARIOS, Scenario
from perf.load import start_broker

PLOT = RESULTS.parent / "plots" / "compare.svg"


def main() -> None:
    arguments = _arguments()
    results = run(arguments) if arguments.again is None else Results.load(arguments.again)
    if arguments.json is not None:
        results.save(arguments.json)
    table = as_table(results)
    print("\n" + table)
    if arguments.write:
        write_section("compare", table)
        draw(results, PLOT)
        print(f"written: {RESULTS} and {PLOT}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-compare", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each client and scenario (default: 5)")
    parser.add_argument("--only", default="", help="only scenarios whose name contains this")
    parser.add_argument("--clients", default="", help="these only, with commas between (default: all)")
    parser.add_argument("--part", type=float, default=1.0, help="this part of the messages, 0.01 for a try")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--again", type=Path, metavar="JSON", help="measure nothing, take figures from this")
    parser.add_argument("--write", action="store_true", help="put table and plot into perf/RESULTS.md")
    arguments = parser.parse_args()
    known = [peer.name for peer in CLIENTS]
    arguments.clients = arguments.clients.split(",") if arguments.clients else known
    for name in arguments.clients:
        if name not in known:
            parser.error(f"--clients: there is no client {name!r}; known are {', '.join(known)}")
    if arguments.runs < 1 or not 0 < arguments.part <= 1:
        parser.error("--runs must be at least 1, --part above 0 and at most 1")
    return arguments


def run(arguments: argparse.Namespace) -> Results:
    """Measure all that was asked for; what one peer cannot do is noted and left out."""
    results = Results(about={}, skipped={})
    chosen = [peer for peer in CLIENTS if peer.name in arguments.clients]
    commands = _prepare(chosen, results)
    ready = [peer for peer in chosen if peer.name in commands]
    daemon = start_broker()
    try:
        results.about = about(daemon.kind, "bench-compare")
        for scenario in (*SCENARIOS, LATENCY):
            if arguments.only not in scenario.name:
                continue

            def once(peer: Peer, scenario: Scenario = scenario) -> Figures:
                count = _part(scenario.counts[peer.name], arguments.part)
                return measure(daemon, commands[peer.name], scenario, count)

            able = [peer for peer in ready if peer.name in scenario.counts]
            figures = _alternate(able, scenario.name, arguments.runs, results, once)
            if scenario is LATENCY:
                results.latency = figures
            else:
                results.cpu[scenario.name] = figures
    finally:
        daemon.close()
    if arguments.only in "import":
        pythons = [peer for peer in ready if not isinstance(peer, GoPeer)]
        results.imports = _alternate(pythons, "import", arguments.runs, results, measure_import)
    return results


def _part(count: int, part: float) -> int:
    """A multiple of the sizes of windows and batches, except for the few messages of the latency."""
    return max(1000, round(count * part / 1000) * 1000) if count > 1000 else max(10, round(count * part))


def _prepare(peers: list[Peer], results: Results) -> dict[str, list[str]]:
    commands = {}
    for peer in peers:
        try:
            commands[peer.name] = peer.prepare()
        except Unavailable as error:
            results.skipped[peer.name] = str(error)
            print(f"skipped: {peer.name}: {error}")
    return commands


def _alternate(
    peers: list[Peer], name: str, runs: int, results: Results, once: Callable[[Peer], Any]
) -> dict[str, list[Any]]:
    """The figures of `runs` rounds in which the peers take turns."""
    print(name, flush=True)
    figures: dict[str, list[Any]] = {}
    failed = set()
    for _ in range(runs):
        for peer in peers:
            if peer in failed:
                continue
            try:
                figures.setdefault(peer.name, []).append(once(peer))
            except ClientFailed as error:
                if peer is NSQGW:
                    raise SystemExit(f"make bench-compare: nsqgw failed at {name!r}: {error}") from error
                failed.add(peer)
                figures.pop(peer.name, None)
                results.skipped[f"{peer.name}, {name}"] = str(error)
                print(f"skipped: {peer.name} at {name!r}: {error}")
    return figures


if __name__ == "__main__":
    main()
