"""A browser that comes back: follows a topic through two gateways in turn; what it was given and told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException


class Resuming:
    """Connects to the next of `addresses` whenever it loses one, or is told to, with its last position.

    got      the numbers that messages begin with, each key once, in order of arrival
    gaps     how often it was told of a gap
    twice    messages that came again
    """

    def __init__(self, addresses: Sequence[str], topic: str, first: int) -> None:
        self._addresses = addresses
        self._turn = first
        self._topic = topic
        self._position: str | None = None
        self._keys: set[str] = set()
        self._websocket: ClientConnection | None = None
        self.got: list[int] = []
        self.gaps = 0
        self.twice = 0
        self.connections = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            address = self._addresses[self._turn % len(self._addresses)]
            self._turn += 1
            with contextlib.suppress(OSError, WebSocketException, InvalidHandshake, asyncio.TimeoutError):
                await self._follow(f"ws://{address}/connect")
            await asyncio.sleep(0.02)

    async def move(self) -> None:
        """Leave for the next gateway."""
        if self._websocket is not None:
            await self._websocket.close()

    async def _follow(self, url: str) -> None:
        async with connect(
            url, proxy=None, subprotocols=["nsqgw.v1.json"], open_timeout=5, close_timeout=1
        ) as websocket:
            self._websocket = websocket
            since = {} if self._position is None else {"since": self._position}
            await websocket.send(json.dumps({"id": 1, "op": "subscribe", "channel": self._topic, **since}))
            async for data in websocket:
                self._take(json.loads(data))

    def _take(self, document: dict[str, Any]) -> None:
        if "error" in document:
            raise AssertionError(document)
        if document.get("ok") == "subscribe":
            self.connections += 1
            self._position = document["position"]
        elif document.get("push") == "gap":
            self.gaps += 1
        elif document.get("push") == "message":
            self._position = document["position"]
            if document["key"] in self._keys:
                self.twice += 1
            else:
                self._keys.add(document["key"])
                self.got.append(int(document["data"]))
