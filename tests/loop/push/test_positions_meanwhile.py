"""A burst is handed out slice by slice: what is told of positions meanwhile leaves nothing of it out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from gateways.push.audience import SLICE
from gateways.push.channel import ChannelLimits
from gateways.push.frame import Burst, Frame
from gateways.push.history import HistoryLimits
from gateways.push.hub import Hub
from gateways.push.limits import Limits
from gateways.push.outlet import HubOutlet
from gateways.push.push_stream.settings import PushStreamSettings
from gateways.push.shared.follower import Follower
from gateways.push.shared.store import State, Stored
from gateways.push.sse import event_block
from harness.entries import entries
from harness.polling import eventually_async

DROP_IN = PushStreamSettings(on=True, template="json")
UPGRADE = (
    b"GET %s?eventid=%s HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Crowd:
    """One of so many that others come to their turn only in the next slice."""

    @staticmethod
    def encoding(frame: Frame) -> bytes:
        return frame.body

    def offer(self, data: bytes, burst: Burst) -> None:
        """Takes what comes."""

    def miss(self, channel: str) -> None:
        """Takes that, too."""


def crowded(hub: Hub, *channels: str) -> None:
    for channel in channels:
        for _ in range(SLICE):
            hub.subscribe(channel, Crowd())


def begin(served: Any, channel: str, body: bytes) -> Iterator[None]:
    """Fan out to the crowd, and to nobody else yet."""
    fan_out = served.hub.fan_out(channel, entries(body))
    next(fan_out)
    return fan_out


async def answer(served: Any, dial: Any, head: str) -> tuple[dict[str, str], bytes]:
    peer = await dial(served)
    peer.send(f"GET {head}\r\nHost: test\r\n\r\n".encode())
    fields, _, body = (await peer.read_all()).partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in fields.decode().split("\r\n")[1:])
    return {name.lower(): value for name, _, value in lines}, body


async def test_a_poll_whose_time_is_up_has_what_was_on_its_way_to_it(serve: Any, dial: Any) -> None:
    served = await serve(Limits(look_interval=0.04, poll_timeout=0.5))
    crowded(served.hub, "events")
    head = "/stream/events{} HTTP/1.1\r\nAccept: application/json"
    asking = asyncio.create_task(answer(served, dial, head.format("")))
    await eventually_async(lambda: served.hub.subscribers("events") == SLICE + 1)
    fan_out = begin(served, "events", b"one")
    document = json.loads((await asking)[1])
    list(fan_out)
    assert [message["data"] for message in document["messages"]] == ["one"]
    assert not document["gap"]
    served.publish(b"two")
    document = json.loads((await answer(served, dial, head.format(f"?since={document['position']}")))[1])
    assert [message["data"] for message in document["messages"]] == ["two"]


async def test_a_long_poll_of_several_channels_goes_on_after_all_it_was_given(serve: Any, dial: Any) -> None:
    served = await serve(push_stream=DROP_IN)
    crowded(served.hub, "events")
    asking = asyncio.create_task(answer(served, dial, "/lp/events/other HTTP/1.1"))
    await eventually_async(lambda: served.hub.subscribers("other") == 1)
    fan_out = begin(served, "events", b"one")
    served.publish(b"two", topic="other")
    _, body = await asking
    list(fan_out)
    assert [json.loads(line)["text"] for line in body.replace(b"}{", b"}\n{").splitlines()] == ["one", "two"]


async def test_messages_of_two_topics_come_in_the_order_of_their_numbers() -> None:
    hub = Hub(["events", "other"])
    taken: list[bytes] = []

    class Both(Crowd):
        @staticmethod
        def encoding(frame: Frame) -> bytes:
            return event_block(frame)

        def offer(self, data: bytes, burst: Burst) -> None:
            taken.extend(frame.body for frame in burst.frames)

    crowded(hub, "events")
    both = Both()
    hub.subscribe("events", both)
    hub.subscribe("other", both)
    outlet = HubOutlet(hub)
    await asyncio.gather(outlet.put({"events": entries(b"one")}), outlet.put({"other": entries(b"two")}))
    assert taken == [b"one", b"two"], "who is cut off after the second has had the first"


class OneTime:
    """A shared history that announces `added` once, and has nothing else to say."""

    name = "a store"

    def __init__(self, added: Sequence[Stored]) -> None:
        self._added = list(added)

    def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    @contextlib.asynccontextmanager
    async def news(self) -> AsyncIterator[None]:
        yield None

    async def state(self) -> State:
        return State("epoch", 0, 0, 0)

    async def channels_after(self, number: int) -> list[tuple[str, int]]:
        return []

    async def next_news(self, pubsub: None) -> tuple[str, list[Stored]]:
        if not self._added:
            await asyncio.Event().wait()
        added, self._added = self._added, []
        return "epoch", added


async def test_who_comes_while_another_channel_has_its_turn_misses_nothing() -> None:
    one, two = entries(b"one", b"two")
    hub = Hub(["events", "other"], history=HistoryLimits())
    crowded(hub, "events")
    came: list[tuple[bytes, ...]] = []

    class Watcher(Crowd):
        @staticmethod
        def encoding(frame: Frame) -> bytes:
            return b"watched " + frame.body

        def offer(self, data: bytes, burst: Burst) -> None:
            """Others come, and go with their position, while this is handed out."""
            position = hub.missed("other", None).position
            came.append(tuple(frame.body for frame in hub.missed("other", position).frames))
            came.append(tuple(frame.body for frame in hub.missed("other", "epoch-0-0000000000000000").frames))

    hub.subscribe("events", Watcher())
    store: Any = OneTime([Stored(1, 0, "events", one), Stored(2, 0, "other", two)])
    follower = Follower(store, hub)
    await follower.start(5.0)
    try:
        await eventually_async(lambda: len(came) == 2)
    finally:
        await follower.stop()
    assert came == [(), (b"two",)], "a position after number 2 stands for a history that has it"


async def test_a_replay_that_is_too_much_ends_what_was_asked_for_beside_it(serve: Any, dial: Any) -> None:
    limits = Limits(look_interval=0.04, max_queue_bytes=100_000, close_timeout=0.3)
    served = await serve(limits, push_stream=DROP_IN)
    served.hub.renew(served.hub.routing, HistoryLimits(max_bytes=100_000_000), ChannelLimits())
    start = served.hub.missed("events", None).position
    for _ in range(400):
        served.publish(b"x" * 60_000)
    for target in ("/ev/events/other", "/ws/events/other"):
        peer = await dial(served)
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.writer.transport.pause_reading()
        closed = served.context.closed["slow"]
        peer.send(UPGRADE % (target.encode(), start.encode()))
        await eventually_async(lambda before=closed: served.context.closed["slow"] == before + 1)
        assert not served.hub.subscribers("other"), "nobody ever leaves it again"
