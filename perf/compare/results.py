"""The figures of one run of the comparison, kept raw so that table and plot can be made again from a file."""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path

from perf.compare.imports import ImportFigures
from perf.compare.run import Figures
from perf.compare.scenarios import Scenario


@dataclasses.dataclass
class Results:
    """Per scenario and client a list of figures, one a round; the rounds of all clients belong together."""

    about: dict[str, str]
    skipped: dict[str, str]
    cpu: dict[str, dict[str, list[Figures]]] = dataclasses.field(default_factory=dict)
    latency: dict[str, list[Figures]] = dataclasses.field(default_factory=dict)
    imports: dict[str, list[ImportFigures]] = dataclasses.field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Results:
        return cls(**json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    def peers_of(self, scenario: Scenario) -> dict[str, list[Figures]]:
        """The figures of the other clients nsqgw is held against."""
        found = dict(self.cpu.get(scenario.against or "", {})) | self.cpu[scenario.name]
        return {client: figures for client, figures in found.items() if client != "nsqgw"}

    def ratios(self, scenario: Scenario, client: str) -> Spread:
        """How many times the CPU of nsqgw a client used, round by round."""
        ours = self.cpu[scenario.name]["nsqgw"]
        theirs = self.peers_of(scenario)[client]
        return Spread.of([their["cpu"] / our["cpu"] for our, their in zip(ours, theirs, strict=True)])


@dataclasses.dataclass(frozen=True)
class Spread:
    """The median of some rounds, and the lowest and highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


def percentiles(figures: list[Figures]) -> tuple[float, float]:
    """p50 and p99 of the latencies of all rounds together, in seconds."""
    latencies = [each for run in figures for each in run["latencies"]]
    cuts = statistics.quantiles(latencies, n=100)
    return cuts[49], cuts[98]
