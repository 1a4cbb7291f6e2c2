"""Consumer and producer behind a network with faults, in front of nsqd: ours and the original.

The promise is the same for each fault: what was confirmed is consumed; nothing comes twice unless nsqd
delivered it again (attempts above 1); what the producer calls not accepted never arrives; both carry
on by themselves; queues stay within their bounds; both stop in time. `harness.load` judges that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.http import channel_stats
from harness.load import ALERT, CARRY_ON, MAX_OUTSTANDING, Load, under_load
from harness.polling import eventually_async
from harness.proxy import Link, Proxy
from nsqgw import ConnectionConfig, Consumer, Producer
from nsqgw.errors import ConnectionClosed, DeadlineExceeded
from nsqgw.instrument import ConnectFailed


@asynccontextmanager
async def proxied(broker: Daemon, topic: str, **options: Any) -> AsyncIterator[tuple[Proxy, Load]]:
    """Both clients reach the broker through the proxy, and a load is under way."""
    async with (
        Proxy(broker.tcp_address) as proxy,
        under_load(topic, [proxy.address], [proxy.address], **options) as load,
    ):
        yield proxy, load


async def new_links(proxy: Proxy, load: Load, accepted: int) -> None:
    """Until both clients have come back after their so many connections, and messages go on."""
    await eventually_async(lambda: proxy.accepted >= accepted + 2, CARRY_ON, "both connect again")
    await load.goes_on()


@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_connections_ended_at_any_moment_lose_nothing(broker: Daemon, topic: str, how: str) -> None:
    async with proxied(broker, topic) as (proxy, load):
        for _ in range(4):
            accepted = proxy.accepted
            getattr(proxy, how)()
            await new_links(proxy, load, accepted)
    assert len(load.disconnects()) >= 8
    assert all(isinstance(fact.error, ConnectionClosed) for fact in load.disconnects())
    assert all(proxy.address in str(fact.error) for fact in load.disconnects())


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_reset_in_the_middle_of_a_frame_loses_nothing(
    broker: Daemon, topic: str, direction: str
) -> None:
    """Each connection breaks at another byte, so that sizes, ids and bodies are all cut through."""
    async with proxied(broker, topic) as (proxy, load):
        broken = 0

        def break_soon(link: Link) -> None:
            nonlocal broken
            if broken < 8:
                broken += 1
                at = getattr(link, direction)
                at.break_at, at.broken = 4000 + 1237 * broken, link.reset

        proxy.on_link = break_soon
        proxy.reset()
        await eventually_async(lambda: broken == 8 and len(load.disconnects()) >= 8, CARRY_ON)
        proxy.on_link = lambda link: None
        await load.goes_on()


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_half_closed_connection_is_replaced_and_loses_nothing(
    broker: Daemon, topic: str, direction: str
) -> None:
    """`down`: the client sees the end, nsqd does not; `up`: the other way round."""
    async with proxied(broker, topic) as (proxy, load):
        accepted = proxy.accepted
        for link in list(proxy.links):
            getattr(link, direction).end()
        await new_links(proxy, load, accepted)
        assert len(load.disconnects()) == 2


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_stalled_direction_is_noticed_and_loses_nothing(
    broker: Daemon, topic: str, direction: str
) -> None:
    """`down`: two heartbeats do not arrive, so we hang up; `up`: nsqd misses our answers, so it does."""
    async with proxied(broker, topic, connection=ALERT) as (proxy, load):
        accepted = proxy.accepted
        for link in list(proxy.links):
            getattr(link, direction).stall()
        await new_links(proxy, load, accepted)
        kinds = {type(fact.error) for fact in load.disconnects()}
        assert kinds <= {DeadlineExceeded, ConnectionClosed}
        if direction == "down":
            assert kinds == {DeadlineExceeded}
        assert load.unknown, "the publishes under way raised, and said that their fate is unknown"
        assert len(load.unknown) <= MAX_OUTSTANDING


async def test_a_slow_network_is_no_fault(broker: Daemon, topic: str) -> None:
    """50 ms each way, 100 kB/s: the same two connections all the time, and nothing fails."""
    async with proxied(broker, topic, connection=ALERT) as (proxy, load):
        for link in proxy.links:
            link.up.delay = link.down.delay = 0.05
            link.up.rate = link.down.rate = 100_000
        await load.goes_on(60)
        for link in proxy.links:
            link.up.delay = link.down.delay = 0.0
            link.up.rate = link.down.rate = None
        await load.goes_on()
        assert proxy.accepted == 2
    assert load.disconnects() == []
    assert not load.refused
    assert not load.unknown


async def test_connections_served_late_and_out_of_order_leave_no_ghost(broker: Daemon, topic: str) -> None:
    """The first ones are served only after the clients gave them up and made others."""
    impatient = ConnectionConfig(msg_timeout=1.0, connect_timeout=0.3)
    async with Proxy(broker.tcp_address) as proxy:
        proxy.hold = lambda number: (1.0, 0.9, 0.0)[min(number, 2)]
        async with under_load(topic, [proxy.address], [proxy.address], connection=impatient) as load:
            failed = [fact for fact in load.facts if isinstance(fact, ConnectFailed)]
            assert {str(fact.error).partition(": ")[2] for fact in failed} == {
                "no answer to IDENTIFY within 0.3 s; is it nsqd's TCP port?"
            }
            await asyncio.sleep(1.0)  # the first ones reach nsqd by now
            await load.goes_on()
            assert channel_stats(broker.http_address, topic, "ch")["client_count"] == 1


async def test_both_stop_in_time_while_nothing_gets_through(broker: Daemon, topic: str) -> None:
    """The deadline given, and a few seconds to say good-bye to a peer that is deaf."""
    loop = asyncio.get_running_loop()
    async with Proxy(broker.tcp_address) as proxy:
        load = Load(topic, [proxy.address], [proxy.address])
        await load.start()
        for link in proxy.links:
            link.up.stall()
            link.down.stall()
        await eventually_async(lambda: load.producer.stats.outstanding > 0)
        began = loop.time()
        await asyncio.wait_for(asyncio.gather(load.producer.stop(0.5), load.consumer.stop(0.5)), CARRY_ON)
        assert loop.time() - began >= 0.5
        async with Consumer(topic, "ch", load.handle, nsqd_tcp_addresses=[broker.tcp_address]):
            proxy.reset()
            await load.settle()
    assert load.producer.stats.outstanding == 0
    assert load.consumer.stats.connections == ()


async def test_what_waits_behind_a_stalled_network_is_bounded(broker: Daemon, topic: str) -> None:
    """However many want to publish, bodies without an answer stay below `max_outstanding_bytes`."""
    count, size, limit = 100, 100_000, 1_000_000
    got: set[bytes] = set()
    bodies = [b"%d:" % number + bytes(size) for number in range(count)]
    async with (
        Proxy(broker.tcp_address) as proxy,
        Producer([proxy.address], max_outstanding_bytes=limit, on_fact=lambda fact: None) as producer,
    ):
        await producer.wait_connected(CARRY_ON)
        (link,) = proxy.links
        link.up.stall()
        publishing = [asyncio.create_task(producer.publish(topic, body)) for body in bodies]
        await eventually_async(lambda: producer.stats.outstanding > 0)
        await asyncio.sleep(0.2)
        assert 0 < producer.stats.outstanding <= limit // size
        link.up.flow()
        await asyncio.gather(*publishing)
        source = [broker.tcp_address]
        async with Consumer(topic, "ch", lambda m: got.add(m.body), nsqd_tcp_addresses=source):
            await eventually_async(lambda: got >= set(bodies), CARRY_ON)
