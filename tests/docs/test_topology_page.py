"""docs/topology.md: an example of every event, as it is read and written; commands and code that work."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from gateways.cli.group import nsqgw
from harness.embedded import EmbeddedNsqd, EmbeddedNsqlookupd
from harness.http import post
from harness.polling import eventually
from nsqgw.topology.changes import Change
from nsqgw.topology.events import Snapshot, decode, encode

PAGE = (Path(__file__).parents[2] / "docs" / "topology.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_event_has_an_example_under_its_name() -> None:
    headings = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
    examples = [json.loads(block)["event"] for block in blocks("json")]
    assert headings == examples
    assert set(examples) == {Snapshot.name, *(kind.name for kind in get_args(Change))}


@pytest.mark.parametrize("example", blocks("json"))
def test_an_example_is_read_and_written_as_it_stands(example: str) -> None:
    event = decode(example)
    assert encode(event).decode() == example.strip()


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_a_command_is_understood(line: str) -> None:
    program, name, *arguments = shlex.split(line)
    assert program == "nsqgw"
    command = nsqgw.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    command.make_context(name, arguments)


def test_the_consumer_of_the_page_hears_of_a_new_nsqd(tmp_path: Path) -> None:
    (code,) = blocks("python")
    with EmbeddedNsqlookupd() as lookupd:
        code = code.replace("127.0.0.1:4161", lookupd.http_address)
        output = tmp_path / "output"
        with output.open("wb") as sink:
            process = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=sink)
        try:
            with EmbeddedNsqd(lookupd_tcp_addresses=(lookupd.tcp_address,)) as nsqd:
                post(nsqd.http_address, "/pub?topic=events", b"hello")
                eventually(lambda: b"hello" in output.read_bytes())
        finally:
            process.kill()
            process.wait()
