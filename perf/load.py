"""Filling nsqd and talking to it with as little as possible: what surrounds the thing measured."""

from __future__ import annotations

import sys

from harness.http import post
from harness.real import BIN, RealNsqd
from harness.wire import Wire, mpub_body

BODY_SIZE = 200
BATCH = 500

ROOMY = {"mem_queue_size": 2_000_000}
"""No disk in the way."""


class OurNsqd(RealNsqd):
    """Our own nsqd as a process."""

    kind = "compat"

    def find_command(self) -> list[str]:
        return [sys.executable, "-m", "gateways.cli.main", "nsqd"]


def start_broker() -> RealNsqd:
    """The original nsqd where it was built, else ours; in a process of its own."""
    daemon = RealNsqd(**ROOMY) if (BIN / "nsqd").exists() else OurNsqd(**ROOMY)
    daemon.start()
    return daemon


def fill(daemon: RealNsqd, topic: str, channel: str, count: int, body: bytes = b"x" * BODY_SIZE) -> None:
    """Puts `count` messages, of 200 bytes by default, into a fresh channel."""
    post(daemon.http_address, f"/topic/create?topic={topic}")
    post(daemon.http_address, f"/channel/create?topic={topic}&channel={channel}")
    command = f"MPUB {topic}\n".encode() + mpub_body(*[body] * BATCH)
    with Wire(daemon.tcp_address) as wire:
        for _ in range(count // BATCH):
            wire.send(command)
            assert wire.frame().data == b"OK"


def drop(daemon: RealNsqd, topic: str) -> None:
    post(daemon.http_address, f"/topic/delete?topic={topic}")
