"""The pool of connections: it ends whatever happens, and holds on to nothing that is dead."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from harness.polling import eventually_async
from harness.scripted import QUICK, ScriptedNsqd
from nsqgw import Producer
from nsqgw.connection import Connection


def producer_of(*fakes: ScriptedNsqd, **options: Any) -> Producer:
    return Producer([fake.address for fake in fakes], **QUICK | {"on_fact": lambda fact: None} | options)


async def test_a_connection_that_does_not_hang_up_stops_neither_the_others_nor_stop(
    fake: ScriptedNsqd, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = asyncio.all_tasks()
    hang_up = Connection.hang_up

    async def fail_once(connection: Connection) -> None:
        if connection.address == fake.address:
            raise RuntimeError("a mistake")
        await hang_up(connection)

    monkeypatch.setattr(Connection, "hang_up", fail_once)
    async with ScriptedNsqd() as other, producer_of(fake, other) as producer:
        await eventually_async(lambda: len(producer.stats.connected) == 2)
        await producer.stop()
        assert [session.ended for session in other.sessions] == [True]
        await (await fake.session()).end()
        ours = {task for task in asyncio.all_tasks() - before if "keep_connected" in repr(task)}
        assert not ours
    assert "a mistake" in caplog.text


async def test_a_lost_connection_is_let_go(fake: ScriptedNsqd) -> None:
    """Its buffer is 128 KiB. The trouble it had is kept as text: an exception holds on to its frames."""
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        assert producer._pool is not None
        lost = weakref.ref(producer._pool._alive[0])
        await fake.stop()
        await eventually_async(lambda: producer._pool and "refused" in str(producer._pool.problems))
        assert all(type(text) is str for text in producer._pool.problems.values())
        await eventually_async(lambda: gc.collect() >= 0 and lost() is None)
    await fake.start()
