"""A config file of ship with two pipelines to files, and what tests do with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.request import urlopen

from harness.embedded import EmbeddedNsqd

CONFIG = """\
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]

[service]
admin_address = "127.0.0.1:0"

[[pipeline]]
name = "app"
topics = ["app"]
channel = "archive"
sinks = ["app"]
max_in_flight = 100
batch.max_messages = 10

[[pipeline]]
name = "audit"
topics = ["audit"]
channel = "archive"
sinks = ["audit"]

[sink.app]
type = "file"
path = "{folder}/app.log"

[sink.audit]
type = "file"
path = "{folder}/audit.log"
"""


def publish(nsqd: EmbeddedNsqd, topic: str, bodies: Iterable[bytes]) -> None:
    with urlopen(f"http://{nsqd.http_address}/mpub?topic={topic}", b"\n".join(bodies), timeout=30) as answer:
        assert answer.read() == b"OK"


def numbered(first: int, last: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, last)]


def lines(*paths: Path) -> list[bytes]:
    return [line for path in paths if path.exists() for line in path.read_bytes().splitlines()]


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    new_file = file.with_suffix(".new")
    new_file.write_text(text.replace(old, new))
    new_file.replace(file)  # whole at any moment, for who reads it meanwhile
