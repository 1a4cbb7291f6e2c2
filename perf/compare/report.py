"""The tables of perf/RESULTS.md, made from figures: never written by hand."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shlex
import statistics
import sys
from importlib.metadata import version
from pathlib import Path

from perf.compare.imports import foreign
from perf.compare.peers import CLIENTS, GoPeer, OutsidePeer, Peer
from perf.compare.results import Results, Spread, percentiles
from perf.compare.run import Figures
from perf.compare.scenarios import IMPORT_TARGET, LATENCY_TARGET, SCENARIOS, Scenario

RESULTS = Path(__file__).parents[1] / "RESULTS.md"


def about(broker: str, target: str) -> dict[str, str]:
    """What the reader must know to repeat a run: date, command, machine, versions."""
    arguments = f" ARGS='{shlex.join(sys.argv[1:])}'" if sys.argv[1:] else ""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": f"`make {target}{arguments}`",
        "broker": "the original nsqd 1.3.0" if broker == "real" else "our own nsqd",
        "machine": f"{os.cpu_count()} cores of {_processor()}, {platform.system()} {platform.release()}",
        "python": f"CPython {platform.python_version()}, tornado {version('tornado')}",
    }


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def as_table(results: Results) -> str:
    """All that was measured, as Markdown."""
    parts = [", ".join(results.about.values()) + "."]
    scenarios = [scenario for scenario in SCENARIOS if "nsqgw" in results.cpu.get(scenario.name, {})]
    if scenarios:
        parts += [_ratios(results, scenarios), _details(results, scenarios)]
    if results.latency:
        parts.append(_latencies(results))
    if results.imports:
        parts.append(_imports(results))
    parts.append("\n".join(f"- {_versioned(peer)}: {peer.settings}" for peer in CLIENTS))
    if results.skipped:
        parts.append("Left out:\n\n" + "\n".join(f"- {what}: {why}" for what, why in results.skipped.items()))
    return "\n\n".join(parts)


def _versioned(peer: Peer) -> str:
    if isinstance(peer, OutsidePeer):
        return peer.requirement.replace("==", " ")
    if isinstance(peer, GoPeer):
        return f"{peer.name} {peer.version()}"
    return f"{peer.name} {version(peer.name)}"


def _rows(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ratios(results: Results, scenarios: list[Scenario]) -> str:
    """A row per scenario: how many times nsqgw's CPU each client needs."""
    names = [peer.name for peer in CLIENTS if peer.name != "nsqgw"]
    rows = []
    for scenario in scenarios:
        ours = Spread.of([each["cpu"] for each in results.cpu[scenario.name]["nsqgw"]])
        row = [scenario.name, f"{ours.median:.3f} s"]
        for name in names:
            if name not in results.peers_of(scenario):
                row.append("")
                continue
            borrowed = "" if name in results.cpu[scenario.name] else "*"
            row.append(f"{results.ratios(scenario, name).median:.1f}x{borrowed}")
        rows.append([*row, _verdict(results, scenario)])
    head = ["CPU per 100,000 messages", "nsqgw", *names, "target"]
    return _rows(head, rows) + "\n\n\\* against that client's nearest thing: its sync handler or its window."


def _verdict(results: Results, scenario: Scenario) -> str:
    texts = []
    for client, target in scenario.targets.items():
        if client in results.peers_of(scenario):
            reached = results.ratios(scenario, client).median >= target
            texts.append(f"{client} {target:g}x {'reached' if reached else 'missed'}")
    return ", ".join(texts)


def _details(results: Results, scenarios: list[Scenario]) -> str:
    rows = []
    for scenario in scenarios:
        for client, figures in results.cpu[scenario.name].items():
            rows.append([scenario.name, client, *_figures(figures), _times(results, scenario, client)])
    head = ["work", "client", "CPU s / 100k", "lowest to highest", "messages/s", "nsqgw's CPU, times"]
    return _rows(head, rows)


def _figures(figures: list[Figures]) -> list[str]:
    cpu = Spread.of([each["cpu"] for each in figures])
    rate = 100_000 / statistics.median(each["elapsed"] for each in figures)
    return [f"{cpu.median:.3f}", f"{cpu.low:.3f} to {cpu.high:.3f}", f"{rate:,.0f}"]


def _times(results: Results, scenario: Scenario, client: str) -> str:
    if client == "nsqgw":
        return ""
    times = results.ratios(scenario, client)
    return f"{times.median:.1f} ({times.low:.1f} to {times.high:.1f})"


def _latencies(results: Results) -> str:
    rows = []
    for client, figures in results.latency.items():
        p50, p99 = percentiles(figures)
        target = f"p50 {LATENCY_TARGET * 1000:.0f} ms {'reached' if p50 <= LATENCY_TARGET else 'missed'}"
        rows.append(
            [client, f"{p50 * 1000:.0f} ms", f"{p99 * 1000:.0f} ms", target if client == "nsqgw" else ""]
        )
    return _rows(["latency, publish to handler, 50 messages/s", "p50", "p99", "target"], rows)


def _imports(results: Results) -> str:
    rows = []
    for client, figures in results.imports.items():
        spread = Spread.of([each["seconds"] for each in figures])
        target = ""
        if client == "nsqgw":
            strangers = foreign(figures[0])
            met = spread.median < IMPORT_TARGET and not strangers
            target = f"{IMPORT_TARGET:g} s, nothing of the gateways: {'reached' if met else 'missed'}"
            target += f" ({', '.join(strangers)})" if strangers else ""
        modules = str(len(figures[0]["modules"]))
        rows.append(
            [client, f"{spread.median:.3f} s", f"{spread.low:.3f} to {spread.high:.3f}", modules, target]
        )
    return _rows(["import", "median", "lowest to highest", "modules loaded", "target"], rows)


def write_section(name: str, text: str) -> None:
    """Put `text` between the marks of a section of RESULTS.md."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = RESULTS.read_text()
    if begin not in old or end not in old:
        sys.exit(f"{RESULTS}: there are no marks {begin} and {end}; put them where the table belongs")
    before, after = old.partition(begin)[0], old.partition(end)[2]
    RESULTS.write_text(f"{before}{begin}\n{text}\n{end}{after}")
