"""`make soak-outage`: the memory of `nsqgw ship` while its service is down under load, and how it catches up.

nsqd keeps what the gateway does not ask for, on its disk beyond what fits in memory. Every event has to
arrive in the end.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from pathlib import Path

from harness.http import get
from harness.polling import eventually
from harness.real import BIN, RealNsqd
from perf.compare.peers import ROOT
from perf.compare.report import about, write_section
from perf.load import OurNsqd, fill
from perf.ship.programs import CHANNEL, ship
from perf.ship.run import BODY, TIMEOUT, service

TARGET = 100.0  # megabytes
TOPIC = "outage"
MEM_QUEUE = {"mem_queue_size": 10_000}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make soak-outage", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600, help="of the outage (default: an hour)")
    parser.add_argument("--rate", type=int, default=5000, help="events a second meanwhile (default: 5000)")
    parser.add_argument("--write", action="store_true", help="put the figures into perf/RESULTS.md")
    arguments = parser.parse_args()
    daemon = (RealNsqd if (BIN / "nsqd").exists() else OurNsqd)(**MEM_QUEUE)
    daemon.start()
    try:
        text = ", ".join(about(daemon.kind, "soak-outage").values()) + ".\n\n"
        text += _outage(daemon, arguments.seconds, arguments.rate)
    finally:
        daemon.close()
    print("\n" + text)
    if arguments.write:
        write_section("outage", text)


def _outage(daemon: RealNsqd, seconds: int, rate: int) -> str:
    fill(daemon, TOPIC, CHANNEL, rate, BODY)
    count = rate
    with service(0.02) as address:
        get(address, "/down")
        command = ship("nsqgw ship", "http://%s/in").command(daemon.tcp_address, TOPIC, address)
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            try:
                resident = []
                ends = time.monotonic() + seconds
                while (now := time.monotonic()) < ends:
                    fill(daemon, TOPIC, CHANNEL, rate, BODY)
                    count += rate
                    resident.append(_resident(process))
                    time.sleep(max(0.0, now + 1.0 - time.monotonic()))
                began = time.monotonic()
                get(address, "/up")
                eventually(lambda: get(address, "/").json["events"] >= count, TIMEOUT + seconds)
                caught_up = count / (get(address, "/").json["last"] - began)
                resident.append(_resident(process))
            finally:
                process.kill()
    verdict = "reached" if max(resident) <= TARGET else "missed"
    early, late, after = resident[len(resident) // 10], resident[-2], resident[-1]
    return (
        f"{seconds:,} s of 503 with {rate:,} events/s: resident memory {early:.1f} MB after a tenth, "
        f"{late:.1f} MB at the end, {after:.1f} MB after catching up (at most {TARGET:g} MB: {verdict}). "
        f"Then all {count:,} events arrived, {caught_up:,.0f} a second."
    )


def _resident(process: subprocess.Popen[bytes]) -> float:
    """Megabytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


if __name__ == "__main__":
    main()
