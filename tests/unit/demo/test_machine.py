"""Figures from texts as /proc has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateways.demo.machine import Reading, figures_between, parse, read
from nsqgw.errors import ConfigError

LOAD = "0.52 0.41 1.30 2/345 6789\n"
STAT = "cpu  100 10 50 800 40 5 5 0 30 0\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 7\n"
MEMINFO = "MemTotal: 8000000 kB\nMemFree: 1000000 kB\nMemAvailable: 5000000 kB\nHugePages_Total: 0\n"
NET = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 4000 50 0 0 0 0 0 0 4000 50 0 0 0 0 0 0
  eth0:7000 90 0 0 0 0 0 0 1000 40 0 0 0 0 0 0
 wlan0: 500 9 0 0 0 0 0 0 100 4 0 0 0 0 0 0
"""  # noqa: E501 - as the kernel writes it


def reading(**changes: object) -> Reading:
    return Reading(**{**vars(parse(10.0, LOAD, STAT, MEMINFO, NET)), **changes})  # type: ignore[arg-type]


def test_a_reading() -> None:
    assert parse(10.0, LOAD, STAT, MEMINFO, NET) == Reading(
        at=10.0,
        load=(0.52, 0.41, 1.30),
        busy=170,
        total=1010,
        memory_used=3_000_000 * 1024,
        memory_total=8_000_000 * 1024,
        received=7500,
        sent=1100,
        loopback=4000,
    )


def test_an_old_kernel_and_a_machine_without_a_network() -> None:
    old = parse(0.0, LOAD, STAT, MEMINFO.replace("MemAvailable", "Active"), NET.split("    lo")[0])
    assert old.memory_used == 7_000_000 * 1024
    assert (old.received, old.sent, old.loopback) == (0, 0, 0)


def test_figures_between_two_readings() -> None:
    later = reading(at=12.0, busy=220, total=1210, received=9500, sent=1100, loopback=5000)
    assert figures_between(reading(), later) == {
        "load": [0.52, 0.41, 1.30],
        "cpu": 25.0,
        "memory": {"used": 3_000_000 * 1024, "total": 8_000_000 * 1024},
        "network": {"received": 1000, "sent": 0, "loopback": 500},
    }


def test_no_tick_passed_and_an_interface_went_away() -> None:
    figures = figures_between(reading(), reading(at=10.1, received=0))
    assert figures["cpu"] is None
    assert figures["network"] == {"received": 0, "sent": 0, "loopback": 0}


def test_a_machine_without_proc_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*loadavg: No such file or directory; .*needs Linux"):
        read(proc=tmp_path)


def test_this_machine() -> None:
    first = read()
    assert first.memory_total > first.memory_used > 0
    assert read().at >= first.at
