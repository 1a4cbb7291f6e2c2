"""nsqd and its nsqlookupds: ones that vanish, hang, refuse or talk rubbish never hold up the broker."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from compat.nsqd import Nsqd, NsqdOptions
from compat.nsqd.lookup_peers import LookupPeers
from compat.nsqlookupd import Nsqlookupd, NsqlookupdOptions
from harness.polling import eventually_async
from harness.raw_server import Script, hang, raw_server

LOCAL = "127.0.0.1:0"


def lookupd_options(tcp_address: str = LOCAL) -> NsqlookupdOptions:
    return NsqlookupdOptions(tcp_address=tcp_address, http_address=LOCAL, broadcast_address="127.0.0.1")


@asynccontextmanager
async def broker(*lookupds: str, ping_interval: float = 0.05) -> AsyncIterator[Nsqd]:
    options = NsqdOptions(
        tcp_address=LOCAL, http_address=LOCAL, broadcast_address="127.0.0.1", http_client_request_timeout=0.5
    )
    nsqd = Nsqd(options)
    nsqd.lookup_peers = LookupPeers(nsqd, lookupds, ping_interval)
    async with nsqd:
        yield nsqd


async def close_at_once(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


async def speak_http(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(struct.pack(">i", 9) + b"E_INVALID")
    await reader.read()


async def no_json(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(struct.pack(">i", 2) + b"OK")
    await reader.read()


def known(lookupd: Nsqlookupd) -> dict[str, list[str]]:
    """Topics with a live producer, and their channels."""
    registry, now = lookupd.registry, lookupd.now()
    return {
        topic: sorted(registry.channels(topic))
        for topic in registry.topics()
        if registry.producers(topic, now)
    }


async def test_topics_and_channels_come_and_go_at_every_nsqlookupd() -> None:
    async with Nsqlookupd(lookupd_options()) as one, Nsqlookupd(lookupd_options()) as two:
        async with broker(one.tcp_address, two.tcp_address) as nsqd:
            topic = nsqd.topic("t")
            nsqd.channel(topic, "c")
            nsqd.channel(topic, "d#ephemeral")
            nsqd.topic("alone")
            expected = {"t": ["c", "d#ephemeral"], "alone": []}
            await eventually_async(lambda: known(one) == known(two) == expected)
            nsqd.delete_channel(topic, "d#ephemeral")
            await eventually_async(lambda: known(one) == known(two) == {"t": ["c"], "alone": []})
            nsqd.delete_topic("t")
            await eventually_async(lambda: known(one) == known(two) == {"alone": []})
        await eventually_async(lambda: known(one) == known(two) == {})
        assert one.registry.knows("alone"), "leaving is no deletion"


async def test_the_announced_node() -> None:
    async with Nsqlookupd(lookupd_options()) as lookupd, broker(lookupd.tcp_address) as nsqd:
        await eventually_async(lambda: lookupd.registry.nodes(lookupd.now()))
        ((peer, _),) = lookupd.registry.nodes(lookupd.now())
        node = peer.node
        assert (node.broadcast_address, node.version) == ("127.0.0.1", "1.3.0")
        assert (node.tcp_port, node.http_port) == (nsqd.tcp_port, nsqd.http_port)


async def test_pings_keep_the_node_active() -> None:
    async with Nsqlookupd(lookupd_options()) as lookupd, broker(lookupd.tcp_address):
        await eventually_async(lambda: lookupd.registry.nodes(lookupd.now()))
        ((peer, _),) = lookupd.registry.nodes(lookupd.now())
        identified = peer.last_update
        await eventually_async(lambda: peer.last_update > identified)


async def test_c_lkd_22_everything_is_registered_again_after_a_restart() -> None:
    first = Nsqlookupd(lookupd_options())
    await first.start()
    address = first.tcp_address
    async with broker(address) as nsqd:
        nsqd.channel(nsqd.topic("t"), "c")
        await eventually_async(lambda: known(first) == {"t": ["c"]})
        await first.stop()
        nsqd.channel(nsqd.topic("meanwhile"), "c")
        async with Nsqlookupd(lookupd_options(address)) as second:
            await eventually_async(lambda: known(second) == {"t": ["c"], "meanwhile": ["c"]})


async def test_addresses_may_change_while_it_runs() -> None:
    async with (
        Nsqlookupd(lookupd_options()) as one,
        Nsqlookupd(lookupd_options()) as two,
        broker(one.tcp_address) as nsqd,
    ):
        nsqd.topic("t")
        await eventually_async(lambda: known(one) == {"t": []})
        nsqd.set_lookupd_tcp_addresses((two.tcp_address,))
        await eventually_async(lambda: known(one) == {} and known(two) == {"t": []})
        nsqd.set_lookupd_tcp_addresses(())
        await eventually_async(lambda: known(two) == {})


@pytest.mark.parametrize("script", [hang, close_at_once, speak_http, refuse, no_json])
async def test_a_broken_one_holds_up_neither_the_broker_nor_the_others(script: Script) -> None:
    async with raw_server(script) as broken, Nsqlookupd(lookupd_options()) as good:
        good.registry.create_channel("t", "known")
        async with broker(broken.address, good.tcp_address) as nsqd:
            topic = nsqd.topic("t")
            await asyncio.wait_for(nsqd.started(topic), 20)
            assert list(topic.channels) == ["known"]
            assert topic.started
            await eventually_async(lambda: known(good) == {"t": ["known"]})
            # It is tried again, and not in a hurry: the log tells what happened each time.
            await eventually_async(lambda: broken.connections >= 2)


async def test_an_nsqlookupd_whose_http_hangs_only_delays_a_new_topic() -> None:
    async with raw_server(hang) as http, Nsqlookupd(lookupd_options()) as lookupd:
        lookupd.http_address = http.address
        async with broker(lookupd.tcp_address) as nsqd:
            topic = nsqd.topic("t")
            await asyncio.wait_for(nsqd.started(topic), 20)
            assert topic.started
            assert list(topic.channels) == []


async def test_an_address_that_is_none_is_logged_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    async with broker("nowhere") as nsqd:
        await asyncio.wait_for(nsqd.started(nsqd.topic("t")), 20)
    assert "nowhere" in caplog.text
    assert "Traceback" not in caplog.text


async def test_c_lkd_21_messages_wait_for_the_known_channels() -> None:
    async with Nsqlookupd(lookupd_options()) as lookupd:
        for channel in "one", "two", "gone#ephemeral":
            lookupd.registry.create_channel("t", channel)
        async with broker(lookupd.tcp_address) as nsqd:
            nsqd.publish("t", [b"first"])
            topic = nsqd.topic("t")
            await nsqd.started(topic)
            await eventually_async(lambda: [c.depth for c in topic.channels.values()] == [1, 1])
            assert sorted(topic.channels) == ["one", "two"]
