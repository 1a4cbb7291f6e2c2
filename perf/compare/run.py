"""One run of one client: a process of its own against the shared nsqd."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from typing import Any, TypedDict

from harness.http import channel_stats
from harness.polling import eventually
from harness.real import RealNsqd
from harness.wire import Wire
from perf.compare.peers import ROOT
from perf.compare.scenarios import BODY_SIZE, LATENCY_RATE, MAX_IN_FLIGHT, Scenario
from perf.load import drop, fill

RUN_TIMEOUT = 120.0

_topics = (f"compare-{number}" for number in itertools.count())


class ClientFailed(Exception):
    """A client's process ended with an error or not at all; the text holds its last words."""


class Figures(TypedDict):
    """`cpu` and `elapsed` in seconds per 100,000 messages, `latencies` in seconds."""

    cpu: float
    elapsed: float
    latencies: list[float]


def measure(daemon: RealNsqd, command: list[str], scenario: Scenario, count: int) -> Figures:
    """Have the client behind `command` do `count` messages of the scenario."""
    topic = next(_topics)
    work = {"scenario": scenario.name, "topic": topic, "address": daemon.tcp_address, "size": BODY_SIZE}
    work |= {"count": count, "max_in_flight": MAX_IN_FLIGHT, **scenario.settings}
    if scenario.filled:
        fill(daemon, topic, "ch", count)
    process = subprocess.Popen(
        [*command, json.dumps(work)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        if scenario.name == "latency":
            _publish_slowly(daemon, topic, count)
        output, words = process.communicate(timeout=RUN_TIMEOUT)
    except (subprocess.TimeoutExpired, AssertionError) as error:
        process.kill()
        words = process.communicate()[1]
        raise ClientFailed(_last_line(words) or f"not done within {RUN_TIMEOUT:g} s") from error
    finally:
        process.kill()
        process.wait()
        drop(daemon, topic)
    if process.returncode:
        raise ClientFailed(_last_line(words) or f"exit code {process.returncode}")
    raw = json.loads(output.splitlines()[-1])
    per = 100_000 / raw["count"]
    return Figures(cpu=raw["cpu"] * per, elapsed=raw["elapsed"] * per, latencies=raw["latencies"])


def _last_line(words: str) -> str:
    return (words.strip().splitlines() or [""])[-1]


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
