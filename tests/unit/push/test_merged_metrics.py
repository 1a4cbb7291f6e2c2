"""The metrics of several processes as one: sums that never become less, and what is each one's own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from gateways.push.merged_metrics import Figures, merged

TEXT = """\
# HELP sent_total Messages.
# TYPE sent_total counter
sent_total{topic="a"} %d
# HELP open Connections.
# TYPE open gauge
open %d
# HELP process_cpu_seconds_total CPU.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 1.5
"""


def shown(processes: dict[int, Figures]) -> dict[str, float]:
    """Each sample of the whole by its line in the text."""

    class Whole(Collector):
        def collect(self) -> list[Metric]:
            return list(merged(processes))

    registry = CollectorRegistry()
    registry.register(Whole())
    lines = generate_latest(registry).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}


def test_numbers_are_summed_and_each_process_has_its_own() -> None:
    one, other = Figures(), Figures()
    one.look(TEXT % (5, 1))
    other.look(TEXT % (7, 2))
    whole = shown({1: one, 2: other})
    assert whole['sent_total{topic="a"}'] == 12
    assert whole["open"] == 3
    assert whole['nsqgw_push_worker_cpu_seconds_total{process="2"}'] == 1.5
    assert "process_cpu_seconds_total" not in whole


def test_a_counter_does_not_become_less_when_a_process_begins_anew() -> None:
    one, other = Figures(), Figures()
    one.look(TEXT % (5, 1))
    other.look(TEXT % (7, 2))
    one.end()
    assert shown({1: one, 2: other})['sent_total{topic="a"}'] == 12
    assert shown({1: one, 2: other})["open"] == 2
    one.look(TEXT % (1, 4))
    assert shown({1: one, 2: other})['sent_total{topic="a"}'] == 13
    assert shown({1: one, 2: other})["open"] == 6


def test_a_process_that_was_never_seen_is_nothing() -> None:
    assert shown({1: Figures()}) == {}
