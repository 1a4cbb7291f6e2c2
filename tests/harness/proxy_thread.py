"""The proxy for tests that have no event loop of their own, and one that lets no WebSocket through."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from harness.proxy import CHUNK, Link, Proxy

T = TypeVar("T")

_TIMEOUT = 10.0
_REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class NoWebSockets(Proxy):
    """Refuses upgrades, as proxies of some companies do; everything else passes."""

    refused = 0

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"\r\nupgrade: websocket" in head.lower():
            self.refused += 1
            writer.write(_REFUSAL)
            await writer.drain()
            return
        host, port = self.target.rsplit(":", 1)
        far = await asyncio.open_connection(host, int(port), limit=CHUNK)
        far[1].write(head)
        await self._relay((reader, writer), far)


class ProxyThread:
    """`with ProxyThread(proxy) as network`: the proxy runs on a loop in a thread of its own."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def address(self) -> str:
        return self.proxy.address

    def call(self, work: Callable[[], T]) -> T:
        """What `work` returns, run where the proxy runs."""

        async def in_loop() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(in_loop(), self._loop).result(_TIMEOUT)

    def cut(self) -> None:
        """End every connection in good order."""
        self.call(self.proxy.cut)

    def reset(self) -> None:
        """End every connection with a reset; what is on the way is lost."""
        self.call(self.proxy.reset)

    def swallow(self) -> None:
        """Let nothing through on the connections there are: a network that is gone without a word."""

        def stall() -> None:
            for link in self.proxy.links:
                link.up.stall()
                link.down.stall()

        self.call(stall)

    def break_after(self, size: int) -> None:
        """Reset each new connection once so many bytes have come down on it, wherever that is."""

        def prepare(link: Link) -> None:
            link.down.break_at, link.down.broken = size, link.reset

        self.proxy.on_link = prepare

    def __enter__(self) -> ProxyThread:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.proxy.__aenter__(), self._loop).result(_TIMEOUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.proxy.__aexit__(None, None, None), self._loop).result(_TIMEOUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT)
        self._loop.close()
