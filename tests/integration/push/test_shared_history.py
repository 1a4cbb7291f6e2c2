"""Several processes with one history in a real Redis: once, in order, the same numbers for all, or a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateways.push.entry import Entry
from gateways.push.frame import Burst
from gateways.push.history import HistoryLimits
from gateways.push.hub import Hub
from gateways.push.position import OLDEST
from gateways.push.routing import Route, Routing
from gateways.push.shared.follower import Follower
from gateways.push.shared.settings import SharedSettings
from gateways.push.shared.store import Store, StoreUnreachable
from gateways.push.wire import websocket_message
from harness.entries import entries
from harness.polling import eventually_async
from harness.private_server import RedisServer

LIMITS = HistoryLimits(max_messages=50)
GAP = b"gap"


class Taker:
    """Keeps what it is given."""

    encoding = staticmethod(websocket_message)

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def offer(self, data: bytes, burst: Burst) -> None:
        self.taken += [frame.body for frame in burst.frames]

    def miss(self, channel: str) -> None:
        self.taken.append(GAP)


@dataclass
class Process:
    """A gateway without NSQ and browsers."""

    store: Store
    follower: Follower
    hub: Hub

    async def put(self, *bodies: bytes, topic: str = "t") -> None:
        await self.store.put(self.hub.routing.channels_of(topic, entries(*bodies)))


@pytest.fixture(scope="module")
def _server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def server(_server: RedisServer) -> RedisServer:
    _server.ask(lambda client: client.flushall())
    return _server


@pytest.fixture
async def join(server: RedisServer):
    processes: list[Process] = []

    async def joined(limits: HistoryLimits = LIMITS, max_channels: int = 100) -> Process:
        settings = SharedSettings(server.url, timeout=2.0)
        store = Store(settings, limits, max_channels)
        hub = Hub(Routing(["t", "r"], [Route("r", "r.{id}")]), asyncio.get_running_loop().time, limits)
        process = Process(store, Follower(store, hub), hub)
        processes.append(process)
        await process.follower.start(10.0)
        assert process.follower.connected
        return process

    yield joined
    for process in processes:
        await process.follower.stop()


async def test_what_one_process_adds_all_deliver_with_the_same_positions(join) -> None:
    one, two = await join(), await join()
    takers = [Taker(), Taker()]
    for process, taker in zip((one, two), takers, strict=True):
        process.hub.subscribe("t", taker)
    await one.put(b"1", b"2")
    await two.put(b"3", b"\xff\x00")
    for taker in takers:
        await eventually_async(lambda taker=taker: taker.taken == [b"1", b"2", b"3", b"\xff\x00"])
    kept = [process.hub.missed("t", OLDEST).frames for process in (one, two)]
    assert [frame.position for frame in kept[0]] == [frame.position for frame in kept[1]]
    middle = kept[0][1].position
    assert [frame.body for frame in two.hub.missed("t", middle).frames] == [b"3", b"\xff\x00"]
    assert not two.hub.missed("t", middle).gap


async def test_a_message_that_comes_again_is_added_once(join) -> None:
    one, two = await join(), await join()
    taker = Taker()
    one.hub.subscribe("t", taker)
    routed = {"t": entries(b"1", b"2")}
    await one.store.put(routed)
    await two.store.put(routed)
    await two.put(b"3")
    await eventually_async(lambda: taker.taken == [b"1", b"2", b"3"])


async def test_a_young_process_has_what_is_kept(join) -> None:
    old = await join()
    await old.put(*(b"%d" % n for n in range(60)))
    await old.put(b'{"id":1}', topic="r")
    await eventually_async(lambda: old.hub.numbering.last == 61)
    young = await join()
    frames = young.hub.missed("t", OLDEST).frames
    assert [frame.body for frame in frames] == [b"%d" % n for n in range(10, 60)]
    assert not young.hub.missed("t", frames[0].position).gap
    assert young.hub.missed("t", f"{frames[0].epoch}-5-{frames[0].key}").gap  # is not kept any more
    assert [frame.body for frame in young.hub.missed("r.1", OLDEST).frames] == [b'{"id":1}']


async def test_bounds_in_bytes_and_of_channels(join, server) -> None:
    limits = HistoryLimits(max_bytes=10)
    process = await join(limits, max_channels=2)
    await process.put(*(b"%04d" % n for n in range(5)))
    await process.put(b'{"id":1}', b'{"id":2}', topic="r")
    stored = await process.store.history("t", 0, 100)
    assert [one.entry.body for one in stored] == [b"0003", b"0004"]
    assert [one.before for one in stored] == [3, 4]
    state = await process.store.state()
    assert (state.number, state.forgotten) == (7, 5)
    assert [name for name, _ in await process.store.channels_after(0)] == ["r.1", "r.2"]


async def test_a_cut_connection_is_caught_up_without_a_gap(join, server) -> None:
    one, two = await join(), await join()
    taker = Taker()
    one.hub.subscribe("t", taker)
    await two.put(b"1")
    await eventually_async(lambda: taker.taken == [b"1"])
    server.ask(lambda client: client.client_kill_filter(_type="pubsub"))
    await two.put(b"2", b"3")
    await eventually_async(lambda: taker.taken == [b"1", b"2", b"3"])
    await eventually_async(lambda: one.follower.connected and two.follower.connected)
    await two.put(b"4")
    await eventually_async(lambda: taker.taken[-1] == b"4")
    assert GAP not in taker.taken


async def test_a_history_that_was_lost_meanwhile_is_a_gap(join, server) -> None:
    one, two = await join(), await join()
    taker = Taker()
    one.hub.subscribe("t", taker)
    await two.put(b"1")
    await eventually_async(lambda: taker.taken == [b"1"])
    await one.follower.stop()
    await two.put(*(b"x%d" % n for n in range(60)))
    again = Follower(one.store, one.hub)
    again._last, again._joined = one.follower._last, True
    await again.start(10.0)
    await eventually_async(lambda: len(taker.taken) > 50)
    assert taker.taken[1] == GAP
    assert taker.taken[2:] == [b"x%d" % n for n in range(10, 60)]
    await again.stop()


@pytest.mark.parametrize("emptied", [False, True])
async def test_redis_that_dies_and_comes_back(join, server, emptied: bool) -> None:
    one, two = await join(), await join()
    taker = Taker()
    one.hub.subscribe("t", taker)
    await two.put(b"1")
    await eventually_async(lambda: taker.taken == [b"1"])
    before = one.hub.missed("t", None).position
    server.kill()
    with pytest.raises(StoreUnreachable):
        await two.put(b"2")
    await eventually_async(lambda: not one.follower.connected)
    assert two.hub.missed("t", OLDEST).frames  # what is here can still be asked for
    server.start()
    if emptied:
        server.ask(lambda client: client.flushall())
    await eventually_async(lambda: one.follower.connected and two.follower.connected)
    await two.put(b"3")
    await eventually_async(lambda: taker.taken[-1:] == [b"3"])
    assert taker.taken == [b"1", GAP, b"3"]
    for process in (one, two):
        replay = process.hub.missed("t", before)
        assert replay.gap
        assert replay.frames[-1].body == b"3"
    young = await join()
    after = two.hub.missed("t", None).position
    await two.put(b"4")
    await eventually_async(lambda: young.hub.numbering.last == two.hub.numbering.last)
    for process in (one, two, young):
        await eventually_async(lambda p=process: [f.body for f in p.hub.missed("t", after).frames] == [b"4"])
        assert not process.hub.missed("t", after).gap


async def test_what_was_lost_before_redis_is_a_gap_for_all_processes_and_for_young_ones(join) -> None:
    one, two = await join(), await join()
    taker = Taker()
    two.hub.subscribe("t", taker)
    await one.put(b"1")
    await eventually_async(lambda: taker.taken == [b"1"])
    before = two.hub.missed("t", None).position
    one.follower.tear()
    await eventually_async(lambda: taker.taken == [b"1", GAP])
    await one.put(b"2")
    await eventually_async(lambda: taker.taken == [b"1", GAP, b"2"])
    for process in (one, two, await join()):
        replay = process.hub.missed("t", before)
        assert (replay.gap, [frame.body for frame in replay.frames]) == (True, [b"2"])


async def test_an_entry_survives_the_way_through_redis(join) -> None:
    process = await join()
    entry = Entry(b"\x00body", 1_700_000_000_123_456_789, b"0123456789abcdef")
    await process.store.put({"t": [entry]})
    [stored] = await process.store.history("t", 0, 10)
    assert (stored.entry.key, stored.entry.timestamp) == (entry.key, entry.timestamp)
    assert (stored.entry.body, stored.number) == (entry.body, 1)
