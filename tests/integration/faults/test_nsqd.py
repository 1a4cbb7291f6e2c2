"""The original nsqd is stopped, silent or killed while messages are under way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from harness.load import ALERT, CARRY_ON, under_load
from harness.polling import eventually_async
from harness.real import RealNsqd
from nsqgw.errors import ConnectionClosed, DeadlineExceeded
from nsqgw.instrument import ConnectFailed

pytestmark = pytest.mark.real


@pytest.fixture
def nsqds() -> Iterator[list[RealNsqd]]:
    daemons = [RealNsqd(), RealNsqd()]
    for daemon in daemons:
        daemon.start()
    yield daemons
    for daemon in daemons:
        daemon.close()


def send(daemon: RealNsqd, what: signal.Signals) -> None:
    assert daemon.process is not None
    os.kill(daemon.process.pid, what)


async def test_a_stopped_nsqd_is_left_after_two_heartbeats_and_used_again(
    nsqds: list[RealNsqd], topic: str
) -> None:
    """SIGSTOP: its kernel still takes connections and bytes, only nobody answers. The other one goes on."""
    frozen, other = nsqds
    addresses = [frozen.tcp_address, other.tcp_address]
    loop = asyncio.get_running_loop()
    async with under_load(topic, addresses, addresses, connection=ALERT) as load:
        began = loop.time()
        send(frozen, signal.SIGSTOP)
        try:
            await eventually_async(lambda: len(load.disconnects()) == 2, CARRY_ON)
            assert loop.time() - began > 1.0, "one heartbeat missed is not enough"
            assert {type(fact.error) for fact in load.disconnects()} == {DeadlineExceeded}
            assert {fact.address for fact in load.disconnects()} == {frozen.tcp_address}
            await load.goes_on()
            failed = await eventually_async(
                lambda: [fact for fact in load.facts if isinstance(fact, ConnectFailed)], CARRY_ON
            )
            assert f"{frozen.tcp_address}: no answer to IDENTIFY within 1 s" in str(failed[0].error)
        finally:
            send(frozen, signal.SIGCONT)
        await eventually_async(lambda: len(load.producer.stats.connected) == 2, CARRY_ON)
        await eventually_async(lambda: len(load.consumer.stats.connections) == 2, CARRY_ON)
        await load.goes_on()


async def test_killed_again_and_again_under_load_nobody_has_to_care(
    nsqds: list[RealNsqd], topic: str
) -> None:
    """Each time the other one takes over. What the killed one had in memory is gone with it; all that is
    confirmed behind its last return arrives, and nothing was published twice at any time."""
    killed, survivor = nsqds
    addresses = [killed.tcp_address, survivor.tcp_address]
    async with under_load(topic, addresses, addresses) as load:
        for _ in range(3):
            await asyncio.to_thread(killed.stop)
            await eventually_async(lambda: load.producer.stats.connected == (survivor.tcp_address,), CARRY_ON)
            await load.goes_on()
            await asyncio.to_thread(killed.start)
            await eventually_async(lambda: len(load.producer.stats.connected) == 2, CARRY_ON)
            await eventually_async(lambda: len(load.consumer.stats.connections) == 2, CARRY_ON)
        load.confirmed.clear()
        await load.goes_on()
        assert all(isinstance(fact.error, ConnectionClosed) for fact in load.disconnects())
