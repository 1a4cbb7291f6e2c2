"""The servers that are compared, each a process of its own: `python -m perf.push.servers KIND SOCKETS`.

Prints its port, waits for its sockets, and then for each line `BROADCASTS JOINED PAUSE` of the standard input
broadcasts so often, so many messages at once, with so many seconds between; prints the seconds of CPU
until the last byte was handed to the kernel. `rss` prints the bytes of memory it holds.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path

BODY = b'{"symbol":"ABCD","price":1234.56,"text":"' + b"x" * 157 + b'"}'
TOPIC = "load"


class Server(ABC):
    """One way to write a message to many WebSockets."""

    @abstractmethod
    async def listen(self) -> int:
        """The port, on 127.0.0.1."""

    @property
    @abstractmethod
    def sockets(self) -> int:
        """How many have shaken hands."""

    @abstractmethod
    async def broadcast(self, joined: int) -> None:
        """Write so many messages to all."""

    def waiting(self) -> bool:
        """Whether there is something that the kernel has not got yet."""
        return False


class Ours(Server):
    """nsqgw push: front, hub and sessions, fed directly."""

    async def listen(self) -> int:
        from gateways.push.context import Context
        from gateways.push.entry import Entry
        from gateways.push.front import Front
        from gateways.push.hub import Hub
        from gateways.push.limits import Limits
        from gateways.push.routes import Routes
        from nsqgw.service.hosts import AllowedHosts
        from nsqgw.service.origin import OriginPolicy

        clock = asyncio.get_running_loop().time
        self._entry = Entry
        self._hub = Hub([TOPIC], clock)
        # the audience answers no ping, and the machine may be busy for long
        limits = Limits(max_connections=20_000, ping_interval=1e6, max_queue_age=1e6, max_queue_bytes=2**30)
        self._context = Context(hub=self._hub, limits=limits, clock=clock)
        routes = Routes(self._context, AllowedHosts("test:0"), OriginPolicy(()), {}, dict)
        self._front = Front(self._context, routes)
        await self._front.start("127.0.0.1:0")
        return int(self._front.address.rpartition(":")[2])

    @property
    def sockets(self) -> int:
        return self._hub.subscribers(TOPIC)

    async def broadcast(self, joined: int) -> None:
        for _ in self._hub.fan_out(TOPIC, [self._entry(BODY) for _ in range(joined)]):
            await asyncio.sleep(0)

    def waiting(self) -> bool:
        return any(peer.waiting_bytes for peer in self._context.connections)


class Tornado(Server):
    """tornado's `WebSocketHandler.write_message`, as its documentation has it."""

    async def listen(self) -> int:
        from tornado.httpserver import HTTPServer
        from tornado.netutil import bind_sockets
        from tornado.web import Application
        from tornado.websocket import WebSocketHandler

        handlers = self._handlers = set()

        class Stream(WebSocketHandler):
            def open(self, *args: str, **kwargs: str) -> None:
                self.set_nodelay(True)
                handlers.add(self)

        (listener,) = bind_sockets(0, "127.0.0.1")
        HTTPServer(Application([("/stream/load", Stream)])).add_socket(listener)
        return int(listener.getsockname()[1])

    @property
    def sockets(self) -> int:
        return len(self._handlers)

    async def broadcast(self, joined: int) -> None:
        text = BODY.decode()
        for _ in range(joined):
            written = [handler.write_message(text) for handler in self._handlers]
            await asyncio.gather(*written)


class Broadcast(Server):
    """websockets' `broadcast`, without compression."""

    async def listen(self) -> int:
        from websockets.asyncio.server import ServerConnection, serve

        self._connections: set[ServerConnection] = set()

        async def stay(connection: ServerConnection) -> None:
            self._connections.add(connection)
            await connection.wait_closed()

        self._server = await serve(stay, "127.0.0.1", 0, compression=None, ping_interval=None)
        return self._server.sockets[0].getsockname()[1]

    @property
    def sockets(self) -> int:
        return len(self._connections)

    async def broadcast(self, joined: int) -> None:
        from websockets.asyncio.server import broadcast

        text = BODY.decode()
        for _ in range(joined):
            broadcast(self._connections, text)
        await asyncio.sleep(0)

    def waiting(self) -> bool:
        return any(peer.transport.get_write_buffer_size() for peer in self._connections)


KINDS: dict[str, type[Server]] = {"ours": Ours, "tornado": Tornado, "broadcast": Broadcast}


def resident() -> int:
    """Bytes of memory this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def work(kind: str, count: int) -> None:
    server = KINDS[kind]()
    print(await server.listen(), flush=True)
    print(resident(), flush=True)
    while server.sockets < count:  # noqa: ASYNC110 - three libraries, no common event
        await asyncio.sleep(0.01)
    print(resident(), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        broadcasts, joined, pause = line.split()
        before = time.process_time()
        for _ in range(int(broadcasts)):
            await server.broadcast(int(joined))
            if float(pause):
                await asyncio.sleep(float(pause))
        while server.waiting():  # noqa: ASYNC110 - three libraries, no common event
            await asyncio.sleep(0)
        if server.sockets != count:
            sys.exit(f"{kind}: {count - server.sockets} of {count} sockets were closed meanwhile")
        print(time.process_time() - before, flush=True)


def main() -> None:
    kind, _, loop = sys.argv[1].partition("+")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if loop == "uvloop":
        import uvloop

        uvloop.run(work(kind, int(sys.argv[2])))
    else:
        asyncio.run(work(kind, int(sys.argv[2])))


if __name__ == "__main__":
    main()
