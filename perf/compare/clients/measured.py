"""What every measured client program does around its work: read the task, take the time, print the figures.

A task is one JSON object on the command line, the figures one JSON object on stdout.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Measurement:
    """CPU (user and system) and elapsed seconds of this process from its creation to `report`."""

    count: int
    latencies: list[float] = field(default_factory=list)
    _cpu: float = field(default_factory=lambda: cpu_seconds())
    _clock: float = field(default_factory=time.perf_counter)

    def arrived(self, body: bytes) -> None:
        """A message that holds the time of its sending came."""
        self.latencies.append((time.time_ns() - int(body)) / 1e9)

    def report(self) -> None:
        figures: dict[str, Any] = {
            "count": self.count,
            "cpu": cpu_seconds() - self._cpu,
            "elapsed": time.perf_counter() - self._clock,
            "latencies": self.latencies,
        }
        print(json.dumps(figures))


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def task() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sys.argv[1])
    return document
