"""This machine's own figures, from Linux's /proc: load, processor, memory, network.

A reading is what the counters say at one moment; figures are what two readings say about the time between.
Parsing is pure; only `read` opens files.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nsqgw.errors import ConfigError

PROC = Path("/proc")
_FILES = ("loadavg", "stat", "meminfo", "net/dev")

_IDLE = slice(3, 5)
"""idle and iowait among the numbers of the line `cpu` in /proc/stat."""
_NO_GUEST = slice(0, 8)
"""The numbers after these count time of guests, which is in the others already."""

_RECEIVED, _SENT = 0, 8
"""Columns of /proc/net/dev: bytes."""

_LOOPBACK = "lo"

Figures = dict[str, object]


@dataclass(frozen=True)
class Reading:
    """Counters at one moment: processor time in ticks, memory and traffic in bytes, `at` in seconds."""

    at: float
    load: tuple[float, float, float]
    busy: int
    total: int
    memory_used: int
    memory_total: int
    received: int
    sent: int
    loopback: int


def read(clock: Callable[[], float] = time.monotonic, proc: Path = PROC) -> Reading:
    """The counters now. ConfigError where there is no /proc, as on macOS."""
    try:
        load, stat, meminfo, net = ((proc / name).read_text() for name in _FILES)
    except OSError as error:
        raise ConfigError(
            f"cannot read {error.filename}: {error.strerror}; the demo shows this machine's figures "
            f"from /proc, which needs Linux"
        ) from error
    return parse(clock(), load, stat, meminfo, net)


def parse(at: float, load: str, stat: str, meminfo: str, net: str) -> Reading:
    """A reading from the texts of the four files."""
    one, five, fifteen = (float(word) for word in load.split()[:3])
    ticks = [int(word) for word in stat.split("\n", 1)[0].split()[1:]][_NO_GUEST]
    memory = {name: int(rest.split()[0]) * 1024 for name, rest in _colon_lines(meminfo)}
    traffic = {name: [int(word) for word in rest.split()] for name, rest in _colon_lines(net)}
    wires = [columns for name, columns in traffic.items() if name != _LOOPBACK]
    return Reading(
        at=at,
        load=(one, five, fifteen),
        busy=sum(ticks) - sum(ticks[_IDLE]),
        total=sum(ticks),
        memory_used=memory["MemTotal"] - memory.get("MemAvailable", memory["MemFree"]),
        memory_total=memory["MemTotal"],
        received=sum(columns[_RECEIVED] for columns in wires),
        sent=sum(columns[_SENT] for columns in wires),
        loopback=traffic[_LOOPBACK][_RECEIVED] if _LOOPBACK in traffic else 0,
    )


def _colon_lines(text: str) -> list[tuple[str, str]]:
    """`name: values` lines; the headings of /proc/net/dev have no colon."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return [(name.strip(), rest) for name, _, rest in pairs]


def figures_between(before: Reading, now: Reading) -> Figures:
    """Percent, bytes and bytes a second, fit for JSON."""
    seconds = max(now.at - before.at, 1e-6)
    ticks = now.total - before.total
    return {
        "load": list(now.load),
        "cpu": round(100 * (now.busy - before.busy) / ticks, 1) if ticks > 0 else None,
        "memory": {"used": now.memory_used, "total": now.memory_total},
        "network": {
            "received": _rate(before.received, now.received, seconds),
            "sent": _rate(before.sent, now.sent, seconds),
            "loopback": _rate(before.loopback, now.loopback, seconds),
        },
    }


def _rate(before: int, now: int, seconds: float) -> int:
    # an interface that went away takes its count with it
    return max(0, round((now - before) / seconds))
