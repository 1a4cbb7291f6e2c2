"""The two programs of docs/coming-from-perl.md do the same, on our nsqd and the original."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest

from harness.daemons import Daemon
from harness.draining import consume
from harness.http import channel_stats, post, stats
from harness.perl import LIBRARY, require_perl
from harness.polling import eventually

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "coming-from-perl.md").read_text()


def program(language: str) -> str:
    """The page's only program in this language."""
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(code)


@pytest.mark.parametrize("language", ["perl", "python"])
def test_a_program_and_its_twin(start_nsqd: Callable[..., Daemon], language: str) -> None:
    if language == "perl":
        require_perl("AnyEvent::Handle", "JSON::XS", "Data::MessagePack")
    command = ["perl", f"-I{LIBRARY}", "-e"] if language == "perl" else [sys.executable, "-X", "dev", "-c"]
    nsqd = start_nsqd()
    for body in (b'{"number": 7}', b"no JSON", b'{"number": 8}'):
        post(nsqd.http_address, "/pub?topic=orders", body)
    code = program(language).replace("127.0.0.1:4150", nsqd.tcp_address)
    with subprocess.Popen([*command, code], cwd=ROOT, stderr=subprocess.PIPE) as process:
        try:
            eventually(lambda: _settled(nsqd), what="two invoices and one order that waits")
            process.send_signal(signal.SIGTERM)
            _, complaints = process.communicate(timeout=15)
        finally:
            process.kill()
    assert (process.returncode, complaints) == (0, b"")
    invoices = asyncio.run(consume(nsqd.tcp_address, "invoices", lambda got: len(got) == 2))
    numbers = sorted(json.dumps(msgpack.unpackb(body), sort_keys=True) for body in invoices)
    assert numbers == ['{"attempts": 1, "number": 7}', '{"attempts": 1, "number": 8}']


def _settled(nsqd: Daemon) -> bool:
    if len(stats(nsqd.http_address)["topics"]) < 2:
        return False
    channel = channel_stats(nsqd.http_address, "orders", "billing")
    return (channel["deferred_count"], channel["depth"], channel["in_flight_count"]) == (1, 0, 0)
