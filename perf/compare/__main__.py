"""`make bench-compare`: nsqgw and pynsq on the same nsqd in the same run.

Runs of the clients alternate, and of each figure the median counts, so that what else the machine does meets
both. CPU is user and system time of the client's process from before it connects until all is answered.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from perf.compare.run import ClientFailed, Figures, measure
from perf.compare.scenarios import CLIENTS, LATENCY, SCENARIOS, Scenario
from perf.load import start_broker

Results = dict[str, dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-compare", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each client and scenario (default: 5)")
    parser.add_argument("--only", default="", help="only scenarios whose name contains this")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    chosen = [scenario for scenario in (*SCENARIOS, LATENCY) if arguments.only in scenario.name]
    results: Results = {}
    daemon = start_broker()
    try:
        print(f"broker: {daemon.kind} nsqd; {arguments.runs} runs, medians\n")
        for scenario in chosen:
            runs = run_alternating(daemon, scenario, arguments.runs)
            results[scenario.name] = {client: summary(figures) for client, figures in runs.items()}
            print(line(scenario, results), flush=True)
    except ClientFailed as error:
        parser.exit(1, f"make bench-compare: {error}\n")
    finally:
        daemon.close()
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def run_alternating(daemon: Any, scenario: Scenario, runs: int) -> dict[str, list[Figures]]:
    clients = [client for client in CLIENTS if client in scenario.counts]
    figures: dict[str, list[Figures]] = {client: [] for client in clients}
    for _ in range(runs):
        for client in clients:
            figures[client].append(measure(daemon, client, scenario))
    return figures


def summary(figures: list[Figures]) -> dict[str, Any]:
    latencies = sorted(each for run in figures for each in run.latencies)
    percentiles = statistics.quantiles(latencies, n=100) if latencies else []
    return {
        "cpu": statistics.median(run.cpu for run in figures),
        "messages_per_second": 100_000 / statistics.median(run.elapsed for run in figures),
        "p50": percentiles[49] if percentiles else None,
        "p99": percentiles[98] if percentiles else None,
    }


def line(scenario: Scenario, results: Results) -> str:
    ours = results[scenario.name]["nsqgw"]
    theirs = results.get(scenario.against or scenario.name, {}).get("pynsq")
    if ours["p50"] is not None:
        texts = [
            f"{client} p50 {each['p50'] * 1000:.0f} ms, p99 {each['p99'] * 1000:.0f} ms"
            for client, each in results[scenario.name].items()
        ]
        return f"latency, publish to handler, 50 messages/s:  {';  '.join(texts)}"
    text = f"{scenario.name:27} nsqgw {ours['cpu']:6.3f} CPU s/100k, {ours['messages_per_second']:8,.0f}/s"
    if theirs is None:
        return text
    text += f"   pynsq {theirs['cpu']:6.3f} CPU s/100k, {theirs['messages_per_second']:8,.0f}/s"
    text += f"   {theirs['cpu'] / ours['cpu']:5.1f}x less"
    return text if scenario.target is None else f"{text} (target {scenario.target:g}x)"


if __name__ == "__main__":
    main()
