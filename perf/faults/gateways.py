"""The programs under fault, with the settings that let a scene take seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.real import BIN, RealNsqd
from perf.compare.peers import ROOT

CHANNEL = "ch"
IN_FLIGHT = 200

_CONFIG = """
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]
[service]
admin_address = ""
[[pipeline]]
topics = ["{topic}"]
channel = "ch"
max_in_flight = {in_flight}
batch.max_messages = 20
sinks = ["out"]
dead_letter = "dead"
[sink.out]
{sink}
[sink.dead]
type = "file"
path = "{folder}/dead"
"""

# Five attempts are go-nsq's default. With its own pauses, of up to two minutes, they can last for an hour.
_IMPATIENT = [
    f"--consumer-opt={option}"
    for option in ("default_requeue_delay,50ms", "backoff_multiplier,20ms", "max_backoff_duration,100ms")
]

Command = Callable[[RealNsqd, str, Path, str], Sequence[str | Path]]
"""Of nsqd, a topic, the scene's folder, and the URL of a service."""


@dataclass(frozen=True)
class Gateway:
    """A program as it is called; it runs in the background."""

    name: str
    command: Command

    def start(self, nsqd: RealNsqd, topic: str, folder: Path, url: str) -> subprocess.Popen[bytes]:
        """Begin, or begin again."""
        return subprocess.Popen(
            self.command(nsqd, topic, folder, url),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _ship(sink: Callable[[Path, str], dict[str, str]]) -> Command:
    def command(nsqd: RealNsqd, topic: str, folder: Path, url: str) -> Sequence[str | Path]:
        lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in sink(folder, url).items())
        config = folder / "ship.toml"
        config.write_text(
            _CONFIG.format(nsqd=nsqd.tcp_address, topic=topic, in_flight=IN_FLIGHT, sink=lines, folder=folder)
        )
        return [sys.executable, "-m", "gateways.cli.main", "ship", f"--config={config}"]

    return command


def _source(nsqd: RealNsqd, topic: str) -> list[str]:
    flags = [f"--topic={topic}", f"--channel={CHANNEL}", f"--nsqd-tcp-address={nsqd.tcp_address}"]
    return [*flags, f"--max-in-flight={IN_FLIGHT}", *_IMPATIENT]


def _nsq_to_http(nsqd: RealNsqd, topic: str, folder: Path, url: str) -> Sequence[str | Path]:
    return [BIN / "nsq_to_http", *_source(nsqd, topic), "-n=20", f"--post={url}"]


def _nsq_to_file(nsqd: RealNsqd, topic: str, folder: Path, url: str) -> Sequence[str | Path]:
    return [BIN / "nsq_to_file", *_source(nsqd, topic), "--sync-interval=100ms", f"--output-dir={folder}/out"]


SHIP = "nsqgw ship"
TO_HTTP = (
    Gateway(SHIP, _ship(lambda folder, url: {"type": "http", "url": url})),
    Gateway("nsq_to_http", _nsq_to_http),
)
TO_FILE = (
    Gateway(SHIP, _ship(lambda folder, url: {"type": "file", "path": f"{folder}/out/events"})),
    Gateway("nsq_to_file", _nsq_to_file),
)
