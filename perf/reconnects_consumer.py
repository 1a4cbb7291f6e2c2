"""The process that `perf.reconnects` watches: ticks off numbered messages and measures its own memory.

python -m perf.reconnects_consumer ADDRESS COUNT
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path

from nsqgw import Consumer, Message
from nsqgw.config import ConnectionConfig

MSG_TIMEOUT = 2.0
"""What was in flight on a connection that is gone, nsqd delivers again after its time-out only."""

SAMPLE_INTERVAL = 0.1
STALLED = 60.0
"""Seconds without a new message after which the rest counts as missing."""


def resident_bytes() -> int:
    """The resident memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Ticks:
    """Which of the numbered messages came; its size does not change."""

    def __init__(self, count: int) -> None:
        self.came = bytearray(b"\xff" * count)  # touched whole, so that it is resident from the start
        self.came[:] = bytes(count)
        self.missing = count
        self.again = 0

    def tick(self, message: Message) -> None:
        number = int.from_bytes(message.body[:8], "big")
        if self.came[number]:
            self.again += 1
        else:
            self.came[number] = 1
            self.missing -= 1


async def main(address: str, count: int) -> None:
    ticks = Ticks(count)
    samples: list[tuple[int, int]] = []  # messages done, resident bytes
    started, progressed = time.monotonic(), time.monotonic()
    async with Consumer(
        "reconnects",
        "ch",
        ticks.tick,
        nsqd_tcp_addresses=[address],
        connection=ConnectionConfig(msg_timeout=MSG_TIMEOUT),
        max_in_flight=2500,
        reconnect_min_delay=0.01,
        reconnect_max_delay=0.01,
        on_fact=lambda fact: None,
    ):
        while ticks.missing and time.monotonic() - progressed < STALLED:
            left = ticks.missing
            await asyncio.sleep(SAMPLE_INTERVAL)
            if ticks.missing < left:
                progressed = time.monotonic()
            samples.append((count - ticks.missing, resident_bytes()))
    early = [rss for done, rss in samples if done <= count / 5] or [samples[0][1]]
    late = [rss for done, rss in samples if done >= samples[-1][0] * 9 / 10]
    rss_early, rss_late = statistics.median(early), statistics.median(late)
    figures = {"missing": ticks.missing, "again": ticks.again, "elapsed": time.monotonic() - started}
    figures |= {"rss_early": rss_early, "rss_late": rss_late, "growth": rss_late - rss_early}
    figures["cpu"] = cpu_seconds()
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
