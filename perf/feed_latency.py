"""`make bench-feed`: how soon a consumer is connected to an nsqd that has just registered its topic.

The consumer polls once a minute; what is measured begins before the nsqd says IDENTIFY to nsqlookupd and ends
when it has confirmed the subscription. The nsqd is a scripted one, so that its own start takes no part.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from gateways.topology.watcher import Watcher, WatcherConfig
from harness.announcing import announce
from harness.embedded import EmbeddedNsqlookupd
from harness.real import BIN, RealNsqlookupd
from harness.scripted import ScriptedNsqd
from nsqgw import Consumer
from perf.compare.report import about, write_section

SETTLED = 0.2
"""Seconds for the consumer's first poll and for its stream to open."""

POLL_INTERVAL = 0.05
"""The watcher's, in seconds: with a longer one, chance within the interval is all there is to see."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-feed", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="new nsqds for each row (default: 100)")
    parser.add_argument("--write", action="store_true", help="put the outcome into perf/RESULTS.md")
    arguments = parser.parse_args()
    text = asyncio.run(measure(arguments.count))
    print(text)
    if arguments.write:
        write_section("feed", text)


async def measure(count: int) -> str:
    """The outcome as Markdown."""
    kind = "real" if (BIN / "nsqlookupd").exists() else "compat"
    head = about(kind, "bench-feed") | {"broker": f"nsqlookupd: ours, and {kind} for the watcher"}
    lines = [", ".join(head.values()) + ".", ""]
    lines += ["| news come from | median | 95 of 100 within | slowest |", "| --- | --- | --- | --- |"]
    async with ours() as source:
        lines.append(row("nsqlookupd's own stream", await delays(*source, count)))
    async with watched(kind) as source:
        name = f"`nsqgw topology --poll-interval {POLL_INTERVAL * 1000:g}ms`"
        lines.append(row(name, await delays(*source, count)))
    return "\n".join(lines)


def row(name: str, seconds: list[float]) -> str:
    within = sorted(seconds)[max(0, round(len(seconds) * 0.95) - 1)]
    shown = (statistics.median(seconds), within, max(seconds))
    return f"| {name} | " + " | ".join(f"{each * 1000:.1f} ms" for each in shown) + " |"


@asynccontextmanager
async def ours() -> AsyncIterator[tuple[Any, str]]:
    lookupd = EmbeddedNsqlookupd()
    lookupd.start()
    try:
        yield lookupd, lookupd.http_address
    finally:
        lookupd.close()


@asynccontextmanager
async def watched(kind: str) -> AsyncIterator[tuple[Any, str]]:
    lookupd = (RealNsqlookupd if kind == "real" else EmbeddedNsqlookupd)()
    lookupd.start()
    addresses = (lookupd.http_address,)
    watcher = Watcher(
        WatcherConfig(lookupd_http_addresses=addresses, listen="127.0.0.1:0", poll_interval=POLL_INTERVAL)
    )
    try:
        await watcher.start()
        yield lookupd, watcher.address
    finally:
        await watcher.stop()
        lookupd.close()


async def delays(lookupd: Any, feed: str, count: int) -> list[float]:
    """Seconds from an nsqd's registration to the consumer's subscription, for one nsqd after the other."""
    found = []
    for number in range(count):
        topic = f"topic{number}"
        consumer = Consumer(
            topic,
            "ch",
            print,
            lookupd_http_addresses=[lookupd.http_address],
            topology_http_addresses=[feed],
            lookupd_poll_interval=60.0,
            on_fact=lambda fact: None,
        )
        async with AsyncExitStack() as scene:
            nsqd = await scene.enter_async_context(ScriptedNsqd())
            await scene.enter_async_context(consumer)
            await asyncio.sleep(SETTLED)
            began = time.perf_counter()
            wire = await asyncio.to_thread(announce, lookupd, nsqd, topic)
            await consumer.wait_connected(30)
            found.append(time.perf_counter() - began)
            wire.close()
    return found


if __name__ == "__main__":
    main()
