"""tornado's WebSocket client, which shares no code with the one of the other tests, as a browser."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tornado.websocket import WebSocketClosedError, websocket_connect

LONG = b"a long line, and the same again: " * 20


@pytest.mark.parametrize("compression", [None, {}], ids=["plain", "compressed"])
async def test_a_stream(serve, compression: dict[str, Any] | None) -> None:
    served = await serve()
    browser = await websocket_connect(
        f"ws://{served.host}/stream/events", compression_options=compression, ping_interval=None
    )
    bodies = [b"short", LONG, "κόσμε".encode(), b"\xff\x00"]
    for body in bodies:
        served.publish(body)
        received = await asyncio.wait_for(browser.read_message(), 10)
        assert (received.encode() if isinstance(received, str) else received) == body
    await served.front.close()
    assert await asyncio.wait_for(browser.read_message(), 10) is None
    assert browser.close_code == 1012
    with pytest.raises(WebSocketClosedError):
        await browser.write_message("too late")
    browser.close()


async def test_many_channels(serve) -> None:
    """Without compression: this client passes over `client_no_context_takeover`, a word without a value."""
    served = await serve()
    client = await websocket_connect(f"ws://{served.host}/connect", subprotocols=["nsqgw.v1.json"])
    assert client.selected_subprotocol == "nsqgw.v1.json"

    async def receive() -> Any:
        return json.loads(await asyncio.wait_for(client.read_message(), 10) or "null")

    assert (await receive())["push"] == "hello"
    for number, channel in enumerate(("events", "other"), 1):
        command = {"id": number, "op": "subscribe", "channel": channel}
        await client.write_message(json.dumps(command))
        answer = await receive()
        assert (answer["id"], answer["ok"], answer["channel"]) == (number, "subscribe", channel)
        served.publish(LONG, topic=channel)
        message = await receive()
        assert (message["channel"], message["data"]) == (channel, LONG.decode())
    client.close()
