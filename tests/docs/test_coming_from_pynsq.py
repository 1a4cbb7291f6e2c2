"""The page for users of pynsq: all names of pynsq are in its tables, the new ones exist, its programs run."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nsq
import pytest

from harness.daemons import Daemon
from harness.http import post, stats
from harness.polling import eventually
from nsqgw import ConnectionConfig, Consumer, ConsumerConfig, Message, Producer, ProducerConfig

PAGE = (Path(__file__).parents[2] / "docs" / "coming-from-pynsq.md").read_text()


def tables() -> dict[str, list[tuple[str, str]]]:
    """The rows by the heading of the new side."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in PAGE.splitlines():
        if line.startswith("| "):
            old, new = (cell.strip() for cell in line.strip("|").split("|"))
            if old.startswith("pynsq"):
                rows = found[old.split(", ")[1].strip("`")] = []
            else:
                rows.append((old, new))
    return found


def names(cell: str) -> set[str]:
    """The names in backticks, without what they are called with."""
    return {re.match(r"(?:await )?(\w*)", code)[1] for code in re.findall(r"`([^`]+)`", cell)}  # type: ignore[index]


def parameters(function: Callable[..., Any]) -> set[str]:
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = inspect.signature(function).parameters.values()
    return {each.name for each in found if each.kind not in kinds} - {"self"}


CONNECTION = parameters(nsq.conn.AsyncConn.__init__) - {"host", "port"}


@pytest.mark.parametrize(
    ("table", "old"),
    [
        (
            "Reader",
            parameters(nsq.Reader.__init__) | {"close", "is_starved", "set_max_in_flight", "giving_up"},
        ),
        (
            "Message",
            parameters(nsq.Message.__init__) | {"finish", "requeue", "touch", "has_responded", "is_async"},
        ),
        ("Writer", parameters(nsq.Writer.__init__) | {"pub", "mpub", "dpub"}),
        ("both", CONNECTION),
    ],
)
def test_every_old_name_has_a_row(table: str, old: set[str]) -> None:
    listed = set().union(*(names(row[0]) for row in tables()[table]))
    assert old - listed == set()


def known(*owners: type) -> set[str]:
    """What these have, and what they are made with."""
    found = {"nsqgw", "ConnectionConfig", "TlsConfig", "ssl", "async", "logs", "on_fact"}
    for owner in owners:
        found |= set(dir(owner)) | parameters(owner.__init__)
        if dataclasses.is_dataclass(owner):
            found |= {field.name for field in dataclasses.fields(owner)}
    return found


def test_every_new_name_exists() -> None:
    new = {
        "Reader": known(Consumer, ConsumerConfig),
        "Message": known(Message),
        "Writer": known(Producer, ProducerConfig),
        "both": known(ConnectionConfig, ConsumerConfig),
    }
    for table, rows in tables().items():
        listed = set().union(*(names(row[1]) for row in rows))
        assert listed - new[table] - {"delay", "backoff"} == set(), table


def program(words: str, daemon: Daemon) -> list[str]:
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if words in block]
    return [sys.executable, "-u", "-c", block.replace("127.0.0.1:4150", daemon.tcp_address)]


def test_the_new_programs_run(broker: Daemon, tmp_path: Path) -> None:
    subprocess.run(program("await producer.publish", broker), timeout=30, check=True)
    assert "events" in {topic["topic_name"] for topic in stats(broker.http_address)["topics"]}
    output = tmp_path / "output"
    with output.open("wb") as sink:
        consuming = subprocess.Popen(program("from nsqgw import Consumer", broker), stdout=sink)
    try:
        eventually(lambda: "b'hello'" in output.read_text())
    finally:
        consuming.kill()
        consuming.wait()
        post(broker.http_address, "/topic/delete?topic=events")
