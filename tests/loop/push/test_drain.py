"""A gateway that goes away: who is told what, and that not all are closed at once."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateways.push.drain import send_off, slices
from gateways.push.presence import Presence
from harness.polling import eventually_async
from harness.push_client import PushClient


async def test_clients_of_the_protocol_are_told_when_and_closed(serve) -> None:
    served = await serve()
    agreed = [Subprotocol("nsqgw.v1.json")]
    async with connect(f"ws://{served.host}/connect", proxy=None, subprotocols=agreed) as client:
        await client.recv()
        drained = asyncio.create_task(send_off(served.context, 0.2))
        told = json.loads(await client.recv())
        assert told["push"] == "drain"
        assert 0 <= told["seconds"] <= 0.2
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        await drained
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


async def test_nobody_is_told_who_else_is_sent_off(serve) -> None:
    served = await serve(presence=Presence(["events"]))
    clients = [await PushClient.open(served.host) for _ in range(3)]
    for client in clients:
        await client.ask("subscribe", channel="events", presence=True)
    await send_off(served.context, 0.0)
    pushes: list[str] = []
    for client in clients:
        with contextlib.suppress(ConnectionClosed):
            while True:
                pushes.append((await client.next())["push"])
    assert pushes.count("drain") == 3
    assert "leave" not in pushes


async def test_event_streams_get_a_retry_and_polls_an_answer(serve, dial) -> None:
    served = await serve()
    stream, poll = await dial(served), await dial(served)
    head = b"GET /stream/events HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n"
    stream.send(head % b"text/event-stream")
    await stream.read_until(b"retry: ")
    poll.send(head % b"application/json")
    await eventually_async(lambda: served.hub.subscribers("events") == 2)
    await send_off(served.context, 0.2)
    assert b"retry: " in await stream.read_all()
    assert b'"messages": []' in await poll.read_all()


def test_everybody_is_in_one_slice() -> None:
    connections = list(range(1003))
    parts = slices(connections, 10)  # type: ignore[arg-type]  # numbers stand for connections
    assert [each for part in parts for each in part] == connections
    assert {len(part) for part in parts} == {100, 101}
