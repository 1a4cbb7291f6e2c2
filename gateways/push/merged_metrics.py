"""The metrics of several processes as those of one gateway: pure, from what each shows at /metrics.

Numbers are summed. A process that begins anew begins at 0, and a counter must never become less: what its
earlier lives had counted is added. What is a process's own, as its memory, has its number as a label, and a
name that the supervisor's own does not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

_OWN, _OWN_HERE = "process_", "nsqgw_push_worker_"
_ADDING = ("counter", "histogram", "summary")
_SAME = ("info",)

Key = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a sample, and its labels."""


class Figures:
    """What one process shows, through all its lives."""

    def __init__(self) -> None:
        self.families: dict[str, Metric] = {}
        """As they were last seen."""
        self._alive = False
        self._before: dict[Key, float] = {}

    def look(self, text: str) -> None:
        """Take in what /metrics says."""
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._alive = True

    def end(self) -> None:
        """The process is gone: what it had counted stays."""
        if self._alive:
            for family in self.families.values():
                if family.type in _ADDING:
                    for key, value in _samples(family):
                        self._before[key] = self._before.get(key, 0.0) + value
        self._alive = False

    def samples(self, name: str) -> Iterator[tuple[Key, float]]:
        """Those of the family `name`, all lives together."""
        family = self.families.get(name)
        if family is None:
            return
        adds = family.type in _ADDING
        for key, value in _samples(family):
            before = self._before.get(key, 0.0) if adds else 0.0
            if self._alive or adds:
                yield key, before + (value if self._alive else 0.0)


def merged(processes: Mapping[int, Figures]) -> Iterator[Metric]:
    """The families of all processes, by their numbers, each family once."""
    known: dict[str, Metric] = {}
    for figures in processes.values():
        known = {**figures.families, **known}
    for name, family in known.items():
        whole: dict[Key, float] = {}
        for number, figures in processes.items():
            for (sample, labels), value in figures.samples(name):
                own = (("process", str(number)),) if name.startswith(_OWN) else ()
                key = (_renamed(sample), (*labels, *own))
                whole[key] = value if family.type in _SAME else whole.get(key, 0.0) + value
        metric = Metric(_renamed(name), family.documentation, family.type)
        for (sample, labels), value in whole.items():
            metric.add_sample(sample, dict(labels), value)
        yield metric


def _renamed(name: str) -> str:
    return _OWN_HERE + name.removeprefix(_OWN) if name.startswith(_OWN) else name


def _samples(family: Metric) -> Iterator[tuple[Key, float]]:
    for sample in family.samples:
        yield (sample.name, tuple(sorted(sample.labels.items()))), sample.value
