"""A log service of `log_services` as a process of its own, which keeps what it takes and can be killed.

    python -m harness.log_service_process KIND PORT FOLDER

Each event is a line of FOLDER/events, appended before the answer goes out; a service that starts again knows
them. FOLDER/port tells where it listens.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from tornado.httputil import HTTPServerRequest

from harness import log_services
from harness.clickhouse import ClickHouseEngine
from harness.log_services import LogService, Reply, unpacked

_INDEXED_AFTER = 0.05  # seconds in which a crash costs Splunk what it has not acknowledged yet


class Lines(LogService):
    """Takes NDJSON at any path."""

    def take(self, request: HTTPServerRequest) -> Reply:
        self.events += unpacked(request).splitlines()
        return Reply(200)


class Publications(LogService):
    """Takes one event a request, as nginx's modules for publishing do."""

    def take(self, request: HTTPServerRequest) -> Reply:
        self.events.append(unpacked(request))
        return Reply(200)


class IndexingSplunk(log_services.Splunk):
    """Acknowledges what it has indexed; until then it is in memory, and so are the numbers it gave."""

    def __init__(self) -> None:
        super().__init__(acknowledges=True, indexes_at_once=False)
        self._received: list[bytes] = []

    def take(self, request: HTTPServerRequest) -> Reply:
        reply = super().take(request)
        self._received, self.events = [*self._received, *self.events], []
        document = reply.document
        if isinstance(document, dict) and "ackId" in document:
            loop = asyncio.get_running_loop()
            loop.call_later(_INDEXED_AFTER, self._index, self._received, document["ackId"])
            self._received = []
        return reply

    def _index(self, events: list[bytes], number: int) -> None:
        self.events += events
        self.keep()
        self.indexed.add(number)

    def keep(self) -> None:
        """Write down what is indexed."""


KINDS: dict[str, type[LogService]] = {
    "http": Lines,
    "nginx": Publications,
    "loggly": log_services.Loggly,
    "splunk": log_services.Splunk,
    "splunk acks": IndexingSplunk,
    "elasticsearch": log_services.Elasticsearch,
    "loki": log_services.Loki,
    "datadog": log_services.Datadog,
    "otlp": log_services.Otlp,
}


def read_events(file: Path) -> list[bytes]:
    """What a service has kept; a line that a kill cut off was never confirmed."""
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [str(orjson.loads(line)).encode("latin-1") for line in lines]


def kept_in(file: Path, kind: type[LogService]) -> type[LogService]:
    """`kind` with its events in a file."""

    class Kept(kind):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            lines = file.read_bytes() if file.exists() else b""
            self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.truncate(file, lines.rfind(b"\n") + 1)
            self.restore(read_events(file))

        def take(self, request: HTTPServerRequest) -> Reply:
            reply: Reply = super().take(request)
            self.keep()
            return reply

        def keep(self) -> None:
            if self.events:
                _write_all(self._file, self.events)
                self.events = []

    return Kept


def _write_all(file: int, events: Sequence[bytes]) -> None:
    lines = memoryview(b"".join(orjson.dumps(event.decode("latin-1")) + b"\n" for event in events))
    while lines:
        lines = lines[os.write(file, lines) :]


def main(kind: str, port: str, folder: Path) -> None:
    async def serve() -> None:
        if kind == "clickhouse":
            service: LogService = ClickHouseEngine(folder / "data")
        else:
            service = kept_in(folder / "events", KINDS[kind])()
        (folder / "port").write_text(str(urlsplit(service.url).port))
        await asyncio.Event().wait()

    LogService.listen_on = f"127.0.0.1:{port}"
    asyncio.run(serve())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
