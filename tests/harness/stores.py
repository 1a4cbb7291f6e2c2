"""Where events end up and can be read again: for the sinks that lead neither to a file nor to HTTP.

Each has its part of a config file, the events that arrived, and an end that comes suddenly: `kill`, after
which `start` brings it back with all it had.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import itertools
import json
import shutil
import socketserver
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.request import urlopen

import redis
from pydantic import TypeAdapter

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import Sink
from gateways.ship.destination import SinkSettings
from harness.daemons import Daemon
from harness.durable import OursOn
from harness.embedded import EmbeddedNsqd
from harness.pipeline import RecordingOrigin, make_batch, make_messages
from harness.polling import eventually
from harness.private_server import PostgresqlServer, RedisServer, RsyslogServer
from harness.real import RealNsqd
from nsqgw import Consumer, Message


class Store(Protocol):
    """One destination of a sink."""

    @property
    def config(self) -> dict[str, Any]: ...
    @property
    def events(self) -> list[bytes]: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...


class PostgresqlStore(PostgresqlServer):
    @property
    def config(self) -> dict[str, Any]:
        return {"type": "postgresql", "dsn": self.dsn, "body": "bytea"}

    @property
    def events(self) -> list[bytes]:
        if not self.rows("SELECT 1 FROM pg_tables WHERE tablename = 'nsq_events'"):
            return []
        rows = self.rows("SELECT body FROM nsq_events ORDER BY ts")
        return [body for (body,) in rows if isinstance(body, bytes)]


@functools.cache
def _shared_postgresql() -> PostgresqlServer:
    server = PostgresqlServer()
    atexit.register(server.close)
    server.start()
    return server


class TableStore:
    """A table of its own on a server that others use, too, which is quicker than a server."""

    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self._server = _shared_postgresql()
        self._table = f"events_{next(self._numbers)}"

    @property
    def config(self) -> dict[str, Any]:
        return {"type": "postgresql", "dsn": self._server.dsn, "body": "bytea", "table": self._table}

    @property
    def events(self) -> list[bytes]:
        rows = self._server.rows(f"SELECT body FROM {self._table} ORDER BY ts")
        return [body for (body,) in rows if isinstance(body, bytes)]

    def start(self) -> None:
        """It runs."""

    kill = close = start


class SqliteStore:
    """Killed is when another program holds the database."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nsqgw-"))
        self._holder: sqlite3.Connection | None = None

    @property
    def config(self) -> dict[str, Any]:
        return {"type": "sqlite", "path": str(self.folder / "events.db"), "busy_timeout": 0.05}

    @property
    def events(self) -> list[bytes]:
        with sqlite3.connect(self.folder / "events.db") as database:
            try:
                rows = database.execute("SELECT body FROM nsq_events ORDER BY ts").fetchall()
            except sqlite3.OperationalError:
                rows = []
        database.close()
        return [body if isinstance(body, bytes) else body.encode() for (body,) in rows]

    def start(self) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    def kill(self) -> None:
        self._holder = sqlite3.connect(self.folder / "events.db", isolation_level=None, timeout=10)
        self._holder.execute("BEGIN IMMEDIATE")

    def close(self) -> None:
        self.start()
        shutil.rmtree(self.folder)


class RedisStore(RedisServer):
    """`mode` as in the sink's settings; `dedupe` in seconds."""

    def __init__(self, mode: str, dedupe: float = 0.0) -> None:
        super().__init__()
        self._mode = mode
        self._dedupe = dedupe

    @property
    def config(self) -> dict[str, Any]:
        return {"type": "redis", "url": self.url, "mode": self._mode, "dedupe": self._dedupe}

    @property
    def events(self) -> list[bytes]:
        def read(client: redis.Redis) -> list[bytes]:
            if self._mode == "stream":
                return [fields[b"body"] for _, fields in client.xrange("events")]
            return client.lrange("events", 0, -1)

        found = self.ask(read, [])
        assert isinstance(found, list)
        return found


class RsyslogStore(RsyslogServer):
    @property
    def config(self) -> dict[str, Any]:
        return {"type": "syslog", "address": self.address, "timeout": 5.0}

    @property
    def events(self) -> list[bytes]:
        return self.bodies


class SyslogReceiver(socketserver.ThreadingTCPServer):
    """Reads each connection to its end, keeps its frames as they came, and closes."""

    daemon_threads = True

    def __init__(self) -> None:
        receiver = self

        class Read(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while size := self._size():
                    receiver.events.append(b"%d %s" % (size, self.rfile.read(size)))

            def _size(self) -> int:
                digits = b""
                while (byte := self.rfile.read(1)).isdigit():
                    digits += byte
                return int(digits or 0)

        self.events: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Read)

    @property
    def config(self) -> dict[str, Any]:
        port = self.server_address[1]
        return {"type": "syslog", "address": f"127.0.0.1:{port}", "max_length": 200_000, "timeout": 5.0}

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def kill(self) -> None:
        self.shutdown()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class OurNsqd(RealNsqd):
    """`nsqgw nsqd` as a process that keeps all on disk: the original, killed, loses what is in flight."""

    find_command = OursOn.find_command

    def __init__(self) -> None:
        super().__init__(mem_queue_size=0, sync_every=1)


class NsqStore:
    """Another nsqd, and a consumer that reads what it gets."""

    def __init__(self, nsqd: Daemon) -> None:
        self._nsqd = nsqd
        self._read: list[bytes] = []
        self._stopped = threading.Event()
        self._reader = threading.Thread(target=lambda: asyncio.run(self._consume()), daemon=True)

    @property
    def config(self) -> dict[str, Any]:
        return {"type": "nsq", "nsqd_tcp_addresses": [self._nsqd.tcp_address]}

    @property
    def events(self) -> list[bytes]:
        """All that is there now; what was read before, while it is not."""
        with contextlib.suppress(OSError):  # it is killed
            eventually(lambda: self._left() == 0)
        return list(self._read)

    def start(self) -> None:
        self._nsqd.start()
        if not self._reader.is_alive():
            self._reader.start()

    def kill(self) -> None:
        self._nsqd.stop()

    def close(self) -> None:
        self._stopped.set()
        if self._reader.is_alive():
            self._reader.join(10)
        self._nsqd.close()

    async def _consume(self) -> None:
        async def keep(message: Message) -> None:
            self._read.append(message.body)

        options = {"reconnect_max_delay": 0.1, "concurrency": 1}
        async with Consumer("events", "check", keep, nsqd_tcp_addresses=[self._nsqd.tcp_address], **options):
            await asyncio.to_thread(self._stopped.wait)

    def _left(self) -> int:
        url = f"http://{self._nsqd.http_address}/stats?format=json&topic=events"
        with urlopen(url, timeout=10) as answer:
            topics = json.load(answer)["topics"]
        return sum(
            topic["depth"] + sum(each["depth"] + each["in_flight_count"] for each in topic["channels"])
            for topic in topics or ()  # null where there is none
        )


def make_sink(config: dict[str, Any]) -> Sink:
    """The sink that a part of a config file stands for."""
    sink: Sink = TypeAdapter[Any](SinkSettings).validate_python(config).make(4)
    return sink


def batch_for(sink: Sink, *bodies: bytes) -> Batch:
    """Messages as `sink` encodes them."""
    messages = make_messages(bodies, RecordingOrigin())
    batch = make_batch([sink.encode(message) for message in messages])
    batch.messages = messages
    return batch


STORES: dict[str, Callable[[], Store]] = {
    "postgresql": PostgresqlStore,
    "sqlite": SqliteStore,
    "redis list": lambda: RedisStore("list"),
    "redis once": lambda: RedisStore("list", dedupe=600.0),
    "syslog": RsyslogStore,
    "nsq": lambda: NsqStore(OurNsqd()),
}
"""By the names of tests; all can be killed."""

IN_CONTRACT: dict[str, Callable[[], Store]] = {
    **STORES,
    "redis stream": lambda: RedisStore("stream"),
    "postgresql": TableStore,
    "syslog": SyslogReceiver,
    "nsq": lambda: NsqStore(EmbeddedNsqd()),
}


@contextlib.contextmanager
def running(make: Callable[[], Store]) -> Iterator[Store]:
    """A store that was started."""
    store = make()
    try:
        store.start()
        yield store
    finally:
        store.close()
