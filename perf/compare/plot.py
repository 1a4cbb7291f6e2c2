"""Draws CPU per 100,000 messages: a group of bars a scenario, a bar a client, on a logarithmic axis."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from perf.compare.peers import CLIENTS
from perf.compare.results import Results, Spread

COLOURS = ("#2a6f97", "#bc4749", "#e09f3e", "#7b9e4f", "#8d6b94", "#55a9a2")


def draw(results: Results, target: Path) -> None:
    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "nsqgw"})  # same figures, same small file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 9), layout="constrained")
    bars: dict[str, list[tuple[float, Spread]]] = {peer.name: [] for peer in CLIENTS}
    position, middles = 0.0, []
    for clients in results.cpu.values():
        middles.append(position + (len(clients) - 1) / 2)
        for client, figures in clients.items():
            bars[client].append((position, Spread.of([each["cpu"] for each in figures])))
            position += 1
        position += 1
    for (client, places), colour in zip(bars.items(), COLOURS, strict=True):
        if places:
            spreads = [spread for _, spread in places]
            drawn = axes.barh(
                [place for place, _ in places],
                [spread.median for spread in spreads],
                0.85,
                label=client,
                color=colour,
            )
            axes.bar_label(drawn, [f"{spread.median:.2f}" for spread in spreads], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.set_yticks(middles, list(results.cpu))
    axes.invert_yaxis()
    axes.set_xlabel("CPU seconds of the client per 100,000 messages of 200 bytes (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.1, y=0.01)
    axes.legend(frameon=False, ncols=len(COLOURS), loc="lower center", bbox_to_anchor=(0.4, 1.0))
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, metadata={"Date": None})
