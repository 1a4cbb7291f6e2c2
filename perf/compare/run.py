"""One run of one client: a process of its own against the shared nsqd."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from harness.http import channel_stats
from harness.polling import eventually
from harness.real import RealNsqd
from harness.wire import Wire
from perf.compare.scenarios import BODY_SIZE, LATENCY_RATE, Scenario
from perf.load import drop, fill

RUN_TIMEOUT = 300.0

_topics = (f"compare-{number}" for number in itertools.count())


class ClientFailed(Exception):
    """A client's process ended with an error, which it has printed."""


@dataclass(frozen=True)
class Figures:
    """`cpu` and `elapsed` in seconds per 100,000 messages, `latencies` in seconds."""

    cpu: float
    elapsed: float
    latencies: list[float]


def measure(daemon: RealNsqd, client: str, scenario: Scenario) -> Figures:
    topic = next(_topics)
    work = {"scenario": scenario.name, "topic": topic, "address": daemon.tcp_address, "size": BODY_SIZE}
    work |= {"count": scenario.counts[client], **scenario.settings}
    if scenario.filled:
        fill(daemon, topic, "ch", scenario.counts[client])
    process = subprocess.Popen(_command(client, work), stdout=subprocess.PIPE, text=True)
    try:
        if scenario.name == "latency":
            _publish_slowly(daemon, topic, scenario.counts[client])
        output, _ = process.communicate(timeout=RUN_TIMEOUT)
    finally:
        process.kill()
        process.wait()
        drop(daemon, topic)
    if process.returncode:
        raise ClientFailed(f"{client} failed at {scenario.name!r}; its words are above")
    raw = json.loads(output)
    per = 100_000 / raw["count"]
    return Figures(raw["cpu"] * per, raw["elapsed"] * per, raw["latencies"])


def _command(client: str, work: dict[str, Any]) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", f"perf.compare.clients.{client}_client", json.dumps(work)]


def _publish_slowly(daemon: RealNsqd, topic: str, count: int) -> None:
    """Publishes the time of sending at a steady pace, once the consumer is ready."""
    eventually(lambda: any(each["ready_count"] for each in _consumers(daemon, topic)))
    with Wire(daemon.tcp_address) as wire:
        pace = threading.Event()
        for _ in range(count):
            wire.ok(b"PUB " + topic.encode(), b"%d" % time.time_ns())
            pace.wait(1 / LATENCY_RATE)


def _consumers(daemon: RealNsqd, topic: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = channel_stats(daemon.http_address, topic, "ch").get("clients") or []
    return found
