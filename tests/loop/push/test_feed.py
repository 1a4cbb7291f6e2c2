"""From a consumer's batches to the hub: bursts, sampling, and when messages are finished."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

from gateways.push.config import PushConfig
from gateways.push.entry import Entry
from gateways.push.feed import Feed
from gateways.push.feeds import Feeds
from gateways.push.frame import Burst
from gateways.push.hub import Hub
from gateways.push.outlet import HubOutlet, NotTaken
from gateways.push.routing import Route, Routing
from gateways.push.wire import websocket_message
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd, message_id


class Batch(list[Any]):
    """Messages that remember being finished."""

    finished = requeued = False

    def finish(self) -> bool:
        self.finished = True
        return True

    def requeue(self) -> bool:
        self.requeued = True
        return True


class Consumer:
    """Gives batches when the test says so."""

    topic = "t"

    def __init__(self) -> None:
        self._batches: asyncio.Queue[Batch | None] = asyncio.Queue()
        self._ids = count()
        self.max_wait: float | None = None

    async def start(self) -> None:
        pass

    async def stop(self, timeout: float) -> None:
        self._batches.put_nowait(None)

    def arrive(self, *bodies: bytes) -> Batch:
        batch = Batch(
            SimpleNamespace(body=body, timestamp=1, id=b"%016d" % next(self._ids)) for body in bodies
        )
        self._batches.put_nowait(batch)
        return batch

    def arrive_again(self, before: Batch, *bodies: bytes) -> Batch:
        batch = self.arrive(*bodies)
        batch[:0] = before
        return batch

    async def batches(self, max_messages: int, max_bytes: int, max_wait: float) -> AsyncIterator[Batch]:
        self.max_wait = max_wait
        while (batch := await self._batches.get()) is not None:
            yield batch


class Taker:
    encoding = staticmethod(websocket_message)

    def __init__(self) -> None:
        self.bodies: list[list[bytes]] = []
        self.missed: list[str] = []

    def miss(self, channel: str) -> None:
        self.missed.append(channel)

    def offer(self, data: bytes, burst: Burst) -> None:
        self.bodies.append([frame.body for frame in burst.frames])


async def started(routes: tuple[Route, ...] = (), **settings: float) -> tuple[Feed, Consumer, Taker]:
    hub, consumer, taker = Hub(Routing(["t"], routes)), Consumer(), Taker()
    hub.subscribe_pattern("t*", taker, {})
    feed = Feed(consumer, hub, HubOutlet(hub), **settings)  # type: ignore[arg-type]
    await feed.start()
    return feed, consumer, taker


async def test_what_arrives_together_leaves_together_and_is_finished() -> None:
    feed, consumer, taker = await started(window=0.005)
    batch = consumer.arrive(b"1", b"2")
    await eventually_async(lambda: batch.finished)
    assert taker.bodies == [[b"1", b"2"]]
    assert consumer.max_wait == 0.005
    await feed.stop(1.0)


async def test_of_a_sampled_topic_the_newest_goes_on_and_all_are_finished() -> None:
    feed, consumer, taker = await started(rate=20.0)
    batches = [consumer.arrive(b"1", b"2"), consumer.arrive(b"3")]
    await eventually_async(lambda: all(batch.finished for batch in batches))
    await eventually_async(lambda: len(taker.bodies) == 1)
    assert taker.bodies == [[b"3"]]
    last = consumer.arrive(b"4")
    await eventually_async(lambda: last.finished)
    await feed.stop(1.0)  # what was finished is not lost
    assert taker.bodies == [[b"3"], [b"4"]]


async def test_what_nsqd_delivers_again_is_finished_and_not_shown_again() -> None:
    feed, consumer, taker = await started()
    first = consumer.arrive(b"1", b"2")
    consumer.arrive_again(first)
    again = consumer.arrive_again(first, b"3")
    await eventually_async(lambda: again.finished)
    assert taker.bodies == [[b"1", b"2"], [b"3"]]
    await feed.stop(1.0)


async def test_of_a_sampled_topic_each_channel_has_its_newest() -> None:
    feed, consumer, taker = await started(rate=20.0, routes=(Route("t", "t.{id}"),))
    consumer.arrive(b'{"id":1}', b'{"id":2}', b'{"id":1,"n":2}')
    await eventually_async(lambda: len(taker.bodies) == 2)
    assert taker.bodies == [[b'{"id":1,"n":2}'], [b'{"id":2}']]
    await feed.stop(1.0)


async def test_what_is_too_old_is_finished_counted_and_a_gap() -> None:
    feed, consumer, taker = await started(max_age=60.0)
    batch = consumer.arrive(b"1")  # published in 1970
    await eventually_async(lambda: batch.finished)
    assert taker.bodies == []
    assert taker.missed == ["t*"]
    await feed.stop(1.0)


class Refusing:
    """An outlet that takes nothing until it is told to."""

    def __init__(self) -> None:
        self.taking = False
        self.taken: list[bytes] = []

    def unknown(self, topic: str, entries: Sequence[Entry]) -> Sequence[Entry]:
        return entries

    async def put(self, routed: Mapping[str, Sequence[Entry]]) -> None:
        if not self.taking:
            raise NotTaken("it is away")
        self.taken += [entry.body for entries in routed.values() for entry in entries]


async def test_what_the_outlet_does_not_take_goes_back_to_nsqd() -> None:
    outlet, consumer = Refusing(), Consumer()
    feed = Feed(consumer, Hub(["t"]), outlet)  # type: ignore[arg-type]
    await feed.start()
    batch = consumer.arrive(b"1")
    await eventually_async(lambda: batch.requeued)
    assert not batch.finished
    outlet.taking = True
    again = consumer.arrive_again(batch)
    await eventually_async(lambda: again.finished)
    assert outlet.taken == [b"1"]
    await feed.stop(1.0)


async def test_what_goes_back_to_nsqd_is_live_and_soon_asked_for_again(serve) -> None:
    context = (await serve()).context
    async with ScriptedNsqd() as nsqd:
        config = PushConfig(topics=("events", "other"), nsqd_tcp_addresses=(nsqd.address,))
        feeds = Feeds(config, "push", context, Refusing())
        await feeds.start()
        session = await nsqd.subscribed()
        session.deliver(1)
        assert await session.received("REQ") == [f"REQ {message_id(1).decode()} 1000"]
        session.deliver(2, attempts=50)
        assert (await session.received("REQ", 2))[1] == f"REQ {message_id(2).decode()} 10000"
        await feeds.stop()
