"""The comparison with other clients, with a handful of messages: that it runs, not what it measures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program of perf/ as the Makefile starts it."""
    command = [sys.executable, "-m", module, *arguments]
    environment = {"PYTHONPATH": "tests", "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)


def rows(table: str) -> dict[str, list[str]]:
    """The rows of Markdown tables by their first cell; of several with the same, the first."""
    found: dict[str, list[str]] = {}
    for line in table.splitlines():
        if line.startswith("| "):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found.setdefault(cells[0], cells[1:])
    return found


def test_all_scenarios_run(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = run("perf.compare", "--runs", "1", "--part", "0.01", "--clients", "nsqgw", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    results = json.loads(figures.read_text())
    assert results["skipped"] == {}
    assert len(results["cpu"]) == 9
    assert all(len(clients["nsqgw"]) == 1 for clients in results["cpu"].values())
    assert len(results["latency"]["nsqgw"][0]["latencies"]) == 10
    assert "nsqgw.consumer.consumer" in results["imports"]["nsqgw"][0]["modules"]
    assert "p50 20 ms" in done.stdout


def a_figure(cpu: float) -> dict[str, Any]:
    return {"cpu": cpu, "elapsed": 1.0, "latencies": []}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Figures of three rounds, in the second of which the machine was busy."""
    ours = [a_figure(cpu) for cpu in (0.1, 0.2, 0.1)]
    theirs = [a_figure(cpu) for cpu in (2.6, 5.4, 2.4)]
    cpu = {
        "consume, sync handler": {"nsqgw": ours, "pynsq": theirs},
        "consume, batch handler": {"nsqgw": ours},
        "publish, batches of 100": {"nsqgw": ours, "pynsq": ours},
    }
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({"about": {}, "skipped": {"gnsq": "no Python"}, "cpu": cpu}))
    return path


def test_ratios_are_taken_round_by_round(saved: Path) -> None:
    done = run("perf.compare", "--again", str(saved))
    assert done.returncode == 0, done.stderr
    table = rows(done.stdout)
    assert table["consume, sync handler"][:2] == ["0.100 s", "26.0x"]
    assert table["consume, sync handler"][-1] == "pynsq 25x reached"
    assert table["consume, batch handler"][1] == "26.0x*"
    assert table["publish, batches of 100"][-1] == "pynsq 3x missed"
    assert "- gnsq: no Python" in done.stdout


def test_an_unknown_client_is_refused() -> None:
    done = run("perf.compare", "--clients", "nsqgw,nsqqq")
    assert done.returncode == 2
    assert "there is no client 'nsqqq'; known are nsqgw, pynsq" in done.stderr


def test_nothing_is_lost_over_reconnects() -> None:
    done = run("perf.reconnects", "--count", "50000", "--interval", "0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 missing" in done.stdout
