"""Draws the figures of `make bench-compare ARGS="--json FILE"`: CPU per 100,000 messages, a bar a client.

python -m perf.compare.plot FILE perf/plots/compare.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

COLOURS = {"nsqgw": "#2a6f97", "pynsq": "#bc4749"}
THICKNESS = 0.38


def draw(results: dict[str, dict[str, Any]], target: Path) -> None:
    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "nsqgw"})  # same figures, same small file
    from matplotlib import pyplot

    scenarios = [name for name in results if name != "latency"]
    figure, axes = pyplot.subplots(figsize=(8, 0.75 * len(scenarios) + 1), layout="constrained")
    for shift, (client, colour) in enumerate(COLOURS.items()):
        rows = [
            (row, results[name][client]["cpu"])
            for row, name in enumerate(scenarios)
            if client in results[name]
        ]
        positions = [row + (shift - 0.5) * THICKNESS for row, _ in rows]
        bars = axes.barh(positions, [cpu for _, cpu in rows], THICKNESS, label=client, color=colour)
        axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_yticks(range(len(scenarios)), scenarios)
    axes.invert_yaxis()
    axes.set_xlabel("CPU seconds of the client per 100,000 messages of 200 bytes (less is better)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.1)
    axes.legend(frameon=False, loc="lower right")
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m perf.compare.plot", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    draw(json.loads(arguments.results.read_text()), arguments.target)


if __name__ == "__main__":
    main()
