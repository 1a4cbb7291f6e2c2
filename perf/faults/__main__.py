"""`make fault-table`: the same faults to `nsqgw ship`, nsq_to_http and nsq_to_file, and what they lose.

Vector, Fluent Bit, Logstash and the OpenTelemetry Collector cannot take part: none of them reads from NSQ.
"""

from __future__ import annotations

import argparse

from harness.real import RealNsqd
from perf.compare.report import about, write_section
from perf.faults.scenes import SCENES, Losses, play


def main() -> None:
    parser = argparse.ArgumentParser(prog="make fault-table", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into perf/RESULTS.md")
    arguments = parser.parse_args()
    nsqd = RealNsqd(msg_timeout=2.0)
    nsqd.start()
    try:
        rows = [
            (name, gateway.name, play(nsqd, gateway, fault))
            for name, all_, fault in SCENES
            for gateway in all_
        ]
    finally:
        nsqd.close()
    text = ", ".join(about(nsqd.kind, "fault-table").values()) + ".\n\n" + _table(rows)
    print(text)
    if arguments.write:
        write_section("faults", text)


def _table(rows: list[tuple[str, str, Losses]]) -> str:
    head = "| fault | program | lost | there twice | kept: dead letters, or with nsqd |\n"
    lines = [
        f"| {name} | {gateway} | {losses.lost:,} | {losses.doubled:,} | {losses.kept:,} |"
        for name, gateway, losses in rows
    ]
    return head + "| --- | --- | --- | --- | --- |\n" + "\n".join(lines)


if __name__ == "__main__":
    main()
