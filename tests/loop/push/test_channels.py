"""Channels from the payload, patterns, filters and envelopes, asked for by real clients."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from gateways.push.channel import ChannelLimits
from gateways.push.routing import Route
from harness.polling import eventually_async

BY_ID = (Route("events", "events.{id}"),)


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


async def receive(websocket: ClientConnection) -> dict[str, Any]:
    document = json.loads(await asyncio.wait_for(websocket.recv(), 10))
    assert isinstance(document, dict)
    return document


async def ask(websocket: ClientConnection, **command: Any) -> dict[str, Any]:
    await websocket.send(json.dumps({"id": 1, **command}))
    return await receive(websocket)


@pytest.fixture
async def join():
    sockets = []

    async def joined(served) -> ClientConnection:
        websocket = await connect(f"ws://{served.host}/connect", proxy=None, subprotocols=["nsqgw.v1.json"])
        sockets.append(websocket)
        await receive(websocket)  # hello
        return websocket

    yield joined
    for websocket in sockets:
        await websocket.close()


async def test_a_pattern_follows_all_channels_and_goes_on_where_it_was(serve, join) -> None:
    served = await serve(routes=BY_ID)
    client = await join(served)
    answer = await ask(client, op="subscribe", channel="events.*")
    assert answer["ok"] == "subscribe"
    served.publish(body(id=1))
    served.publish(body(id=2))
    one, two = await receive(client), await receive(client)
    assert [one["channel"], two["channel"]] == ["events.1", "events.2"]
    assert one["key"] != two["key"]
    for covered in ("events.1", "events.*", "e*"):
        assert (await ask(client, op="subscribe", channel=covered))["error"]["code"] == 105
    await client.close()
    served.publish(body(id=3), body(id=1, n=2))
    client = await join(served)
    since = {"events.*": answer["position"], "events.1": one["position"], "events.2": two["position"]}
    answer = await ask(client, op="subscribe", channel="events.*", since=since)
    assert answer["recovered"] is True
    missed = [await receive(client), await receive(client)]
    assert {each["channel"]: json.loads(each["data"]) for each in missed} == {
        "events.1": {"id": 1, "n": 2},
        "events.3": {"id": 3},
    }
    assert (await ask(client, op="unsubscribe", channel="events.*"))["ok"] == "unsubscribe"
    assert not served.hub.patterns


async def test_unknown_names_and_too_many_channels_are_refused(serve, join, dial) -> None:
    served = await serve(routes=BY_ID, channels=ChannelLimits(max_channels=2))
    client = await join(served)
    for unknown in ("events", "nothing.*", "events.a b", "*.x", "e**"):
        assert (await ask(client, op="subscribe", channel=unknown))["error"]["code"] == 102
    assert "ok" in await ask(client, op="subscribe", channel="events.1")
    assert (await ask(client, op="subscribe", channel="events.2"))["error"]["code"] == 106
    peer = await dial(served)
    peer.send(b"GET /stream/events.2 HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n")
    assert (await peer.read_all()).startswith(b"HTTP/1.1 503 ")


async def test_filters_choose_live_messages_and_replays(serve, join) -> None:
    served = await serve()
    client = await join(served)
    answer = await ask(client, op="subscribe", channel="other", filter={"a.b": [1, 2], "s": {"prefix": "x"}})
    served.publish(b"no json", body(a={"b": 2}, s="xy"), body(a={"b": 3}, s="xy"), topic="other")
    assert json.loads((await receive(client))["data"]) == {"a": {"b": 2}, "s": "xy"}
    await ask(client, op="unsubscribe", channel="other")
    await client.send(
        json.dumps(
            {
                "id": 2,
                "op": "subscribe",
                "channel": "other",
                "since": answer["position"],
                "filter": {"s": "xy"},
            }
        )
    )
    assert (await receive(client))["recovered"] is True
    assert [json.loads((await receive(client))["data"])["a"]["b"] for _ in range(2)] == [2, 3]
    assert (await ask(client, op="subscribe", channel="events", filter=[]))["error"]["code"] == 107


async def test_an_envelope_gives_a_plain_websocket_positions_and_gaps(serve) -> None:
    served = await serve()
    url = f"ws://{served.host}/stream/events?envelope=json&filter={quote(json.dumps({'n': [1, 3]}))}"
    async with connect(url, proxy=None) as websocket:
        served.publish(body(n=1), body(n=2))
        first = await receive(websocket)
        assert set(first) == {"position", "key", "data"}
        served.hub.tear("events")
        assert await receive(websocket) == {"gap": True, "lost": None}
    served.publish(body(n=3))
    async with connect(f"{url}&since={first['position']}", proxy=None) as websocket:
        assert await receive(websocket) == {"gap": True, "lost": None}
        assert json.loads((await receive(websocket))["data"]) == {"n": 3}


@pytest.mark.parametrize("query", ["filter=x", "filter=[]", "envelope=xml"])
async def test_bad_arguments_are_refused(serve, query: str) -> None:
    served = await serve()
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{served.host}/stream/events?{query}", proxy=None)
    assert refused.value.response.status_code == 400


async def test_after_unsubscribing_from_a_pattern_nothing_of_it_comes(serve, join) -> None:
    served = await serve(routes=BY_ID)
    client = await join(served)
    await ask(client, op="subscribe", channel="events.*")
    await ask(client, op="unsubscribe", channel="events.*")
    served.publish(body(id=1))
    assert (await ask(client, op="ping"))["ok"] == "ping"
    await eventually_async(lambda: not served.hub.patterns)
