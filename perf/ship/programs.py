"""The programs compared: how each is called, and whether it is connected."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.real import BIN
from perf.compare.peers import ROOT

CHANNEL = "ch"
MAX_IN_FLIGHT = 10_000
"""Of ours, on four connections."""

MAX_RDY = 2500
"""As much as nsqd gives to one connection, which is what the originals have."""

Command = Callable[[str, str, str], Sequence[str | Path]]
"""Of the nsqd's address, a topic, and where to: an address of a service or a folder."""


@dataclass(frozen=True)
class Program:
    """A program with its settings; `name` tells both."""

    name: str
    command: Command


def ship(name: str, to: str, *flags: str) -> Program:
    """Ours; in `to` a %s stands for the target."""

    def command(nsqd: str, topic: str, target: str) -> Sequence[str]:
        source = [f"--topic={topic}", f"--channel={CHANNEL}", f"--nsqd-tcp-address={nsqd}"]
        service = ["--admin-address=", "--log-level=warning", f"--max-in-flight={MAX_IN_FLIGHT}"]
        return [
            sys.executable,
            "-m",
            "gateways.cli.main",
            "ship",
            *source,
            *service,
            f"--to={to % target}",
            *flags,
        ]

    return Program(name, command)


_CONFIG = """
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]
[service]
admin_address = ""
log_level = "warning"
[[pipeline]]
topics = ["{topic}"]
channel = "{channel}"
max_in_flight = {max_in_flight}
batch.max_messages = 1000
sinks = ["service"]
transforms = [{{ type = "decode", format = "json" }}, {{ type = "add", fields = {{ env = "prod" }} }}]
[sink.service]
type = "http"
url = "http://{target}/in"
"""


def ship_with_transforms() -> Program:
    """Ours, parsing each body as JSON and adding a field."""

    def command(nsqd: str, topic: str, target: str) -> Sequence[str | Path]:
        config = ROOT / ".cache" / "bench-ship.toml"
        config.write_text(
            _CONFIG.format(
                nsqd=nsqd, topic=topic, channel=CHANNEL, max_in_flight=MAX_IN_FLIGHT, target=target
            )
        )
        return [sys.executable, "-m", "gateways.cli.main", "ship", "--config", config]

    return Program("nsqgw ship, JSON parsed, a field added", command)


def nsq_to_http(publishers: int) -> Program:
    """The original, with so many requests at once."""

    def command(nsqd: str, topic: str, target: str) -> Sequence[str | Path]:
        flags = [f"--topic={topic}", f"--channel={CHANNEL}", f"--nsqd-tcp-address={nsqd}"]
        pace = [f"-n={publishers}", f"--max-in-flight={MAX_RDY}", "--status-every=0"]
        return [BIN / "nsq_to_http", *flags, *pace, f"--post=http://{target}/in"]

    return Program(f"nsq_to_http, -n={publishers}", command)


def nsq_to_file(max_in_flight: int) -> Program:
    """The original; it finishes messages when they are synced, and syncs when max_in_flight of them wait."""

    def command(nsqd: str, topic: str, target: str) -> Sequence[str | Path]:
        flags = [f"--topic={topic}", f"--channel={CHANNEL}", f"--nsqd-tcp-address={nsqd}"]
        pace = [f"--max-in-flight={max_in_flight}", "--sync-interval=1s"]
        return [BIN / "nsq_to_file", *flags, *pace, f"--output-dir={target}"]

    return Program(f"nsq_to_file, --max-in-flight={max_in_flight}", command)
