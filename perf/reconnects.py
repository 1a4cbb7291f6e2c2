"""`make soak-reconnects`: many messages through one consumer whose connection is cut once a second.

Every message must arrive, twice at most where a cut made nsqd deliver again, and the memory of the consumer's
process must not grow. nsqd is filled while the consumer works, so that neither holds all messages at once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from typing import Any

from harness.http import channel_stats, post
from harness.wire import Wire, mpub_body
from perf.compare.peers import ROOT
from perf.compare.report import about, write_section
from perf.cutting_proxy import CuttingProxy
from perf.load import BATCH, BODY_SIZE, start_broker

TOPIC, CHANNEL = "reconnects", "ch"
MOST_WAITING = 200_000
GROWTH_TARGET = 5 * 1024 * 1024
"""Bytes the consumer's process may grow by."""

Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make soak-reconnects", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000_000, help="messages (default: 10 million)")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between cuts (default: 1)")
    parser.add_argument("--write", action="store_true", help="put the outcome into perf/RESULTS.md")
    arguments = parser.parse_args()
    if arguments.count < BATCH or arguments.interval <= 0:
        parser.error(f"--count must be at least {BATCH}, --interval above 0")
    count = arguments.count // BATCH * BATCH
    figures, broker = soak(count, arguments.interval)
    text = tell(figures, broker)
    print(text)
    if arguments.write:
        write_section("reconnects", text)
    if figures["missing"] or figures["growth"] > GROWTH_TARGET:
        sys.exit("make soak-reconnects: " + ("messages are missing" if figures["missing"] else "memory grew"))


def soak(count: int, interval: float) -> tuple[Figures, dict[str, str]]:
    """What the consumer's process says at the end, and what it ran on."""
    daemon = start_broker()
    try:
        post(daemon.http_address, f"/topic/create?topic={TOPIC}")
        post(daemon.http_address, f"/channel/create?topic={TOPIC}&channel={CHANNEL}")
        with CuttingProxy(daemon.tcp_address, interval) as proxy:
            command = [sys.executable, "-m", "perf.reconnects_consumer", proxy.address, str(count)]
            consumer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            try:
                fill_slowly(daemon, count, consumer)
                output, _ = consumer.communicate(timeout=600)
            finally:
                consumer.kill()
                consumer.wait()
            if consumer.returncode:
                sys.exit("make soak-reconnects: the consumer failed; its words are above")
            figures: Figures = json.loads(output)
            broker = about(daemon.kind, "soak-reconnects")
            return figures | {"count": count, "cuts": proxy.cuts}, broker
    finally:
        daemon.close()


def fill_slowly(daemon: Any, count: int, consumer: subprocess.Popen[str]) -> None:
    """Publishes numbered messages, never far ahead of the consumer."""
    pause = threading.Event()
    padding = b"x" * (BODY_SIZE - 8)
    with Wire(daemon.tcp_address) as wire:
        for first in range(0, count, BATCH):
            bodies = [number.to_bytes(8, "big") + padding for number in range(first, first + BATCH)]
            wire.send(f"MPUB {TOPIC}\n".encode() + mpub_body(*bodies))
            assert wire.frame().data == b"OK"
            if first % (20 * BATCH) == 0:
                while channel_stats(daemon.http_address, TOPIC, CHANNEL)["depth"] > MOST_WAITING:
                    if consumer.poll() is not None:
                        return
                    pause.wait(0.05)


def tell(figures: Figures, broker: dict[str, str]) -> str:
    """The outcome as Markdown."""
    growth = figures["growth"] / 1024 / 1024
    return (
        ", ".join(broker.values()) + ".\n\n"
        f"{figures['count']:,} messages, {figures['cuts']} cuts, {figures['elapsed']:.0f} s: "
        f"{figures['missing']} missing, {figures['again']:,} delivered again. "
        f"Resident memory {figures['rss_early'] / 1024 / 1024:.1f} MB over the first fifth, "
        f"{figures['rss_late'] / 1024 / 1024:.1f} MB over the last tenth: {growth:+.1f} MB. "
        f"CPU {figures['cpu'] / figures['count'] * 100_000:.3f} s per 100,000 messages."
    )


if __name__ == "__main__":
    main()
