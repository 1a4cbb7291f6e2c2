"""A client of the multiplexed protocol in JSON, for tests that care for what is said and not for how."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

JSON = "nsqgw.v1.json"


class PushClient:
    """`await PushClient.open(host)`, then `ask`, `next` and `closed`."""

    def __init__(self, websocket: ClientConnection, hello: dict[str, Any]) -> None:
        self.websocket = websocket
        self.hello = hello
        self._id = 0

    @classmethod
    async def open(
        cls, host: str, *, scheme: str = "ws", subprotocols: tuple[str, ...] = (), **options: Any
    ) -> PushClient:
        """Connect; the token may be one of `subprotocols`."""
        names = [Subprotocol(name) for name in (JSON, *subprotocols)]
        websocket = await connect(f"{scheme}://{host}/connect", proxy=None, subprotocols=names, **options)
        return cls(websocket, json.loads(await asyncio.wait_for(websocket.recv(), 10)))

    async def send(self, op: str, **arguments: Any) -> None:
        """A command whose answer is read later."""
        self._id += 1
        await self.websocket.send(json.dumps({"id": self._id, "op": op, **arguments}))

    async def next(self) -> dict[str, Any]:
        """The next document but signs of life."""
        while True:
            document: dict[str, Any] = json.loads(await asyncio.wait_for(self.websocket.recv(), 10))
            if document.get("push") != "ping":
                return document

    async def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a command, without its id."""
        await self.send(op, **arguments)
        answer = await self.next()
        assert answer.pop("id", None) == self._id, answer
        return answer

    async def refused(self, op: str, **arguments: Any) -> int:
        """The code of the error a command is answered with."""
        return int((await self.ask(op, **arguments))["error"]["code"])

    async def closed(self) -> tuple[int, str]:
        """How the gateway ended the connection."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.wait_for(self.websocket.recv(), 10)
        close = self.websocket.protocol.close_rcvd
        assert close is not None
        return close.code, close.reason
