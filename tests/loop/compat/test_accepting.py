"""A daemon that stops while a client connects leaves no socket open."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from typing import Any

import pytest

from compat.nsqd import Nsqd, NsqdOptions
from compat.nsqlookupd import Nsqlookupd, NsqlookupdOptions

ANY = {"tcp_address": "127.0.0.1:0", "http_address": "127.0.0.1:0"}


@pytest.mark.parametrize("rounds", range(6))
@pytest.mark.parametrize(
    "create", [lambda: Nsqd(NsqdOptions(**ANY)), lambda: Nsqlookupd(NsqlookupdOptions(**ANY))]
)
@pytest.mark.filterwarnings("always::ResourceWarning")
async def test_stopping_while_a_client_connects(
    create: Any, rounds: int, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    failures: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", failures.append)
    daemon = create()
    await daemon.start()
    host, port = daemon.tcp_address.split(":")
    with socket.create_connection((host, int(port)), timeout=10):
        for _ in range(rounds):
            await asyncio.sleep(0)
        await daemon.stop()
    del daemon
    gc.collect()
    assert failures == []
    assert [str(each.message) for each in recwarn] == []
