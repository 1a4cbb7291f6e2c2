"""The multiplexed protocol with a real client, in both dialects: commands are answered, misuse is ended."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateways.push.limits import Limits
from gateways.push.policy import parse_policy
from gateways.push.presence import Presence
from harness.polling import eventually_async
from nsqgw.errors import NotConnected, NSQError

DIALECTS = ("nsqgw.v1.json", "nsqgw.v1.msgpack")


class Client:
    """Speaks a dialect; replies and pushes in the order they come."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.packed = websocket.subprotocol == DIALECTS[1]
        self._id = 0

    async def send(self, op: str, **arguments: Any) -> int:
        self._id += 1
        command = {"id": self._id, "op": op, **arguments}
        await self.websocket.send(msgpack.packb(command) if self.packed else json.dumps(command))
        return self._id

    async def receive(self) -> dict[str, Any]:
        data = await asyncio.wait_for(self.websocket.recv(), 10)
        document = msgpack.unpackb(data) if self.packed else json.loads(data)
        assert isinstance(document, dict)
        return document

    async def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        identity = await self.send(op, **arguments)
        answer = await self.receive()
        assert answer.pop("id") == identity
        return answer

    async def refused(self, op: str, **arguments: Any) -> int:
        return int((await self.ask(op, **arguments))["error"]["code"])

    async def closed(self) -> tuple[int, str]:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.wait_for(self.websocket.recv(), 10)
        close = self.websocket.protocol.close_rcvd
        assert close is not None
        return close.code, close.reason


@pytest.fixture(params=DIALECTS)
async def join(request):
    """Connects clients of a dialect and takes their hello: `client = await join(served)`."""
    sockets = []

    async def joined(served, dialect: str = request.param) -> Client:
        websocket = await connect(f"ws://{served.host}/connect", proxy=None, subprotocols=[dialect])
        sockets.append(websocket)
        client = Client(websocket)
        hello = await client.receive()
        assert (hello["push"], hello["version"]) == ("hello", 1)
        client.name = hello["client"]
        return client

    yield joined
    for websocket in sockets:
        await websocket.close()


class Publisher:
    """Stands for a producer; keeps what is published until the test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.answers: list[Callable[[NSQError | None], None]] = []

    def publish_then(self, topic: str, body: bytes, then: Callable[[NSQError | None], None]) -> None:
        if body == b"raise":
            raise NotConnected("no nsqd")
        self.asked.append((topic, body))
        self.answers.append(then)


async def test_many_channels_on_one_connection(serve, join) -> None:
    served = await serve()
    client = await join(served)
    for channel in ("events", "other"):
        answer = await client.ask("subscribe", channel=channel)
        assert (answer["ok"], answer["channel"]) == ("subscribe", channel)
    served.publish(b"one")
    served.publish(b"\xff", b"two", topic="other")
    told = [await client.receive() for _ in range(3)]
    assert [(message["push"], message["channel"]) for message in told] == [
        ("message", "events"),
        ("message", "other"),
        ("message", "other"),
    ]
    binary = b"\xff" if client.packed else "/w=="
    assert [message["data"] for message in told] == ["one", binary, "two"]
    assert await client.ask("unsubscribe", channel="events") == {"ok": "unsubscribe", "channel": "events"}
    served.publish(b"not for you")
    served.publish(b"three", topic="other")
    assert (await client.receive())["data"] == "three"
    await client.websocket.close()
    await eventually_async(lambda: served.hub.subscribers("other") == 0)


async def test_a_client_goes_on_where_it_was(serve, join) -> None:
    served = await serve()
    client = await join(served)
    start = (await client.ask("subscribe", channel="events"))["position"]
    served.publish(b"one", b"two")
    first = await client.receive()
    back = await join(served)
    answer = await back.ask("subscribe", channel="events", since=first["position"])
    assert answer["recovered"]
    assert answer["position"] == first["position"]
    assert (await back.receive())["data"] == "two"
    again = await join(served)
    await again.ask("subscribe", channel="events", since=start)
    assert [(await again.receive())["data"] for _ in range(2)] == ["one", "two"]
    stranger = await join(served)
    assert not (await stranger.ask("subscribe", channel="events", since="elsewhere-1"))["recovered"]
    assert await stranger.receive() == {"push": "gap", "channel": "events", "lost": None}
    assert (await stranger.receive())["data"] == "one"


async def test_what_cannot_be_done_is_refused_by_code(serve, join) -> None:
    served = await serve(Limits(look_interval=0.04, max_channels=1))
    client = await join(served)
    assert await client.refused("subscribe", channel="unknown") == 102
    assert await client.refused("subscribe", channel=7) == 107
    assert await client.refused("subscribe", channel="events", since=7) == 107
    assert await client.refused("subscribe", channel="events", presence="yes") == 107
    assert await client.refused("subscribe", channel="events", presence=True) == 103
    assert await client.refused("unsubscribe", channel="events") == 108
    assert await client.refused("presence", channel="events") == 103
    assert await client.refused("publish", channel="events", data="x") == 103
    assert await client.refused("dance") == 107
    await client.ask("subscribe", channel="events")
    assert await client.refused("subscribe", channel="events") == 105
    assert await client.refused("subscribe", channel="other") == 106
    assert await client.ask("ping") == {"ok": "ping"}
    assert served.hub.subscribers("events") == 1


async def test_publishing_where_it_is_allowed(serve, join) -> None:
    publisher = Publisher()
    limits = Limits(look_interval=0.04, max_publishing=2)
    served = await serve(limits, publisher=publisher, publish_topics=frozenset({"events"}))
    client = await join(served)
    assert await client.refused("publish", channel="other", data="x") == 103
    assert await client.refused("publish", channel="events", data="") == 107
    assert await client.refused("publish", channel="events") == 107
    assert await client.refused("publish", channel="events", data="raise") == 113
    binary = (
        {"data": b"\xff"} if client.packed else {"data": base64.b64encode(b"\xff").decode(), "base64": True}
    )
    first = await client.send("publish", channel="events", data="grüße")
    second = await client.send("publish", channel="events", **binary)
    assert await client.refused("publish", channel="events", data="x") == 111
    assert publisher.asked == [("events", "grüße".encode()), ("events", b"\xff")]
    publisher.answers[1](None)
    assert await client.receive() == {"id": second, "ok": "publish", "channel": "events"}
    publisher.answers[0](NotConnected("no nsqd"))
    answer = await client.receive()
    assert (answer["id"], answer["error"]["code"], answer["error"]["temporary"]) == (first, 113, True)
    await client.send("publish", channel="events", data="x")
    await eventually_async(lambda: len(publisher.answers) == 3)
    await client.websocket.close()
    publisher.answers[2](None)  # nobody is there any more


async def test_who_is_there_who_joins_and_leaves(serve, join) -> None:
    served = await serve(Limits(look_interval=0.04, max_presence=1), presence=Presence(["events"]))
    watcher, guest = await join(served), await join(served)
    await watcher.ask("subscribe", channel="events", presence=True)
    await guest.ask("subscribe", channel="events")
    assert await watcher.receive() == {"push": "join", "channel": "events", "client": guest.name}
    told = await guest.ask("presence", channel="events")
    assert (told["count"], told["clients"]) == (2, [watcher.name])
    await guest.ask("unsubscribe", channel="events")
    assert await watcher.receive() == {"push": "leave", "channel": "events", "client": guest.name}
    await guest.ask("subscribe", channel="events")
    assert (await watcher.receive())["push"] == "join"
    await guest.websocket.close()
    assert (await watcher.receive())["push"] == "leave"


async def test_a_quiet_connection_is_pinged_where_pages_can_see_it(serve, join) -> None:
    served = await serve(Limits(look_interval=0.04, ping_interval=0.1))
    client = await join(served)
    assert await client.receive() == {"push": "ping"}


async def test_a_lagging_client_is_told_how_much_it_lost(serve, join) -> None:
    limits = Limits(look_interval=0.04, max_queue_bytes=400_000)
    served = await serve(limits, policies={"events": parse_policy("drop-oldest")})
    websocket = await connect(
        f"ws://{served.host}/connect",
        proxy=None,
        subprotocols=["nsqgw.v1.json"],
        compression=None,
        max_queue=1,
    )
    client = Client(websocket)
    await client.receive()
    await client.ask("subscribe", channel="events")
    for number in range(400):
        served.publish(b"%d " % number + b"x" * 50_000)
        await asyncio.sleep(0)
    got, lost = [], 0
    while not got or got[-1] != 399:
        push = await client.receive()
        if push["push"] == "gap":
            lost += push["lost"]
        else:
            got.append(int(push["data"].partition(" ")[0]))
    assert lost > 0
    assert len(got) + lost == 400
    assert got == sorted(got)
    await websocket.close()


@pytest.mark.parametrize(
    ("dialect", "frame", "close"),
    [
        (DIALECTS[0], "no json", (4501, "malformed command")),
        (DIALECTS[0], "[]", (4501, "malformed command")),
        (DIALECTS[0], '{"op": "ping"}', (4501, "malformed command")),
        (DIALECTS[0], '{"id": true, "op": "ping"}', (4501, "malformed command")),
        (DIALECTS[0], '{"id": 0, "op": "ping"}', (4501, "malformed command")),
        (DIALECTS[0], '{"id": 1}', (4501, "malformed command")),
        (DIALECTS[0], "[" * 60_000, (4501, "malformed command")),
        (DIALECTS[0], "9" * 60_000, (4501, "malformed command")),
        (DIALECTS[0], b"{}", (4501, "malformed command")),
        (DIALECTS[0], "x" * 70_000, (1009, "")),
        (DIALECTS[1], "{}", (4501, "malformed command")),
        (DIALECTS[1], b"\xc1", (4501, "malformed command")),
        (DIALECTS[1], b"\xdf\xff\xff\xff\xff", (4501, "malformed command")),
        (DIALECTS[1], b"\x91" * 60_000, (4501, "malformed command")),
        (DIALECTS[1], msgpack.packb(msgpack.ExtType(5, b"x")), (4501, "malformed command")),
    ],
)
async def test_what_is_no_command_ends_the_connection_and_no_other(
    serve, dialect: str, frame: str | bytes, close: tuple[int, str]
) -> None:
    served = await serve()
    url = f"ws://{served.host}/connect"
    async with connect(url, proxy=None, subprotocols=[dialect]) as other:
        async with connect(url, proxy=None, subprotocols=[dialect], compression=None) as websocket:
            await websocket.send(frame)
            code, reason = await Client(websocket).closed()
            assert code == close[0]
            assert reason.startswith(close[1])
        client = Client(other)
        await client.receive()
        assert await client.ask("ping") == {"ok": "ping"}
    await eventually_async(lambda: len(served.context.connections) == 0)


async def test_text_that_is_no_utf8_and_fragments(serve) -> None:
    served = await serve()
    options = {"proxy": None, "subprotocols": ["nsqgw.v1.json"], "compression": None}
    async with connect(f"ws://{served.host}/connect", **options) as websocket:
        client = Client(websocket)
        await client.receive()
        await websocket.send(iter(['{"id": 1, ', '"op": ', '"ping"}']))
        assert await client.receive() == {"id": 1, "ok": "ping"}
        await websocket.send(b"\xff", text=True)
        assert await client.closed() == (1007, "text is not UTF-8")


async def test_errors_in_a_row_end_the_connection(serve, join) -> None:
    served = await serve(Limits(look_interval=0.04, max_errors=3))
    client = await join(served)
    for _ in range(2):
        await client.refused("dance")
    await client.ask("ping")
    for _ in range(3):
        await client.send("dance")
    assert await client.closed() == (4509, "too many errors")


async def test_a_mistake_of_the_gateway_is_answered_and_logged(serve, join, monkeypatch, caplog) -> None:
    served = await serve()
    client = await join(served)
    await client.ask("subscribe", channel="other")
    with monkeypatch.context() as broken:
        broken.setattr(served.hub, "missed", lambda *_: 1 / 0)
        assert await client.refused("subscribe", channel="events") == 100
    assert "the command subscribe was not carried out" in caplog.text
    assert served.hub.subscribers("events") == 0
    assert (await client.ask("subscribe", channel="events"))["ok"] == "subscribe"
    served.publish(b"x", topic="other")
    assert (await client.receive())["data"] == "x"


async def test_a_bomb_is_not_inflated(serve) -> None:
    served = await serve()
    async with connect(
        f"ws://{served.host}/connect", proxy=None, subprotocols=["nsqgw.v1.json"]
    ) as websocket:
        await websocket.send(" " * 50_000_000)
        assert (await Client(websocket).closed())[0] == 1009


async def test_who_offers_no_dialect_is_refused(serve) -> None:
    served = await serve()
    for subprotocols in (None, ["nsqgw.v9.json"]):
        with pytest.raises(InvalidStatus, match="HTTP 400"):
            await connect(f"ws://{served.host}/connect", proxy=None, subprotocols=subprotocols)
