"""The daemons start fast because they import little: what is heavy waits until it is used.

Imports are checked and not times, which a busy machine stretches.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    *("prometheus_client", "pydantic", "orjson", "requests", "urllib3", "websockets", "msgpack", "OpenSSL"),
    *("tornado.web", "tornado.httpclient", "tornado.simple_httpclient", "cProfile", "tracemalloc"),
    *("nsqgw.consumer", "nsqgw.producer", "nsqgw.connection", "nsqgw.http.call", "nsqgw.config"),
    *("gateways.ship", "gateways.push", "gateways.demo", "gateways.pipeline"),
}
"""For metrics, gateways, clients and profiles, none of which a daemon needs to listen."""

PROGRAM = """
import asyncio, sys
from gateways.cli import {name}
{start}
print(*sys.modules)
"""
STARTS = {
    "nsqd": """
from compat.nsqd import Nsqd, NsqdOptions
async def live(folder):
    address = "127.0.0.1:0"
    async with Nsqd(NsqdOptions(tcp_address=address, http_address=address, data_path=folder)): pass
asyncio.run(live(sys.argv[1]))
""",
    "nsqlookupd": """
from compat.nsqlookupd import Nsqlookupd, NsqlookupdOptions
async def live():
    async with Nsqlookupd(NsqlookupdOptions(tcp_address="127.0.0.1:0", http_address="127.0.0.1:0")): pass
asyncio.run(live())
""",
}


@pytest.mark.parametrize("name", STARTS)
def test_a_daemon_that_listens_has_imported_nothing_heavy(name: str, tmp_path: object) -> None:
    program = PROGRAM.format(name=name, start=STARTS[name])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=30, check=True
    )
    imported = set(done.stdout.split())
    assert f"compat.{name}" in imported
    assert not imported & HEAVY
