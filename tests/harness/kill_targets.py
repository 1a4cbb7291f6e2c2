"""A destination for each sink that can be killed, started again, and asked which numbered events it has.

Where a service is not there to be had, a process stands in for it that keeps to its contract and writes down
what it takes before it answers. VictoriaLogs confirms what is not on its disk yet: killed, it would lose it,
whoever sends. It is ended in order; the processes that stand in are killed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from harness import stores
from harness.command import ROOT
from harness.log_service_process import read_events
from harness.log_services import settings_for
from harness.polling import INTERVAL
from harness.private_server import PrivateServer, can_connect
from harness.real_sinks import S3Server, VictoriaLogs
from harness.stores import Store

_NUMBER = re.compile(rb'\\*"n\\*": ?\\*"(\d+)\\*"')
EVENT = b'{"text":"event","n":"%d"}'
"""A text for a number: VictoriaLogs refuses numbers where it speaks as Datadog."""


class Target(Protocol):
    """One destination of a sink."""

    stdout: int
    """What the gateway writes its standard output to."""
    notices: str
    """What the gateway's log says when the destination is killed; nothing where it cannot know."""

    @property
    def config(self) -> dict[str, Any]: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...
    def numbers(self) -> list[int]: ...


def numbers_in(events: Iterable[bytes]) -> list[int]:
    """Of events in whatever form a service keeps them; what a kill tore is none."""
    return [int(found[1]) for event in events if (found := _NUMBER.search(event))]


class OfStore:
    """One of `stores`."""

    stdout = subprocess.DEVNULL
    notices = "trying again"

    def __init__(self, store: Store) -> None:
        self._store = store
        self.start, self.kill, self.close = store.start, store.kill, store.close

    @property
    def config(self) -> dict[str, Any]:
        return self._store.config

    def numbers(self) -> list[int]:
        return numbers_in(self._store.events)


class LogServiceProcess(PrivateServer):
    """A service of `log_service_process`; `settings` are the sink's."""

    stdout = subprocess.DEVNULL
    notices = "trying again"

    def __init__(self, kind: str, sink: str, path: str = "", **settings: Any) -> None:
        super().__init__()
        self._kind, self._sink, self._path, self._settings = kind, sink, path, settings
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def config(self) -> dict[str, Any]:
        return settings_for(self._sink, self.url + self._path, **self._settings)

    def command(self) -> list[str]:
        path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
        program = [sys.executable, "-m", "harness.log_service_process"]
        return ["env", f"PYTHONPATH={path}", *program, self._kind, str(self._port), str(self.folder)]

    def is_ready(self) -> bool:
        file = self.folder / "port"
        self._port = self._port or int((file.read_text() if file.exists() else "") or 0)
        return bool(self._port) and can_connect(self._port)

    def numbers(self) -> list[int]:
        return numbers_in(read_events(self.folder / "events"))


class ClickHouseProcess(LogServiceProcess):
    """ClickHouse's engine, in a process that is killed."""

    def __init__(self) -> None:
        if importlib.util.find_spec("chdb") is None:
            pytest.skip("ClickHouse's engine is missing: pip install chdb-core-lite")
        super().__init__("clickhouse", "clickhouse", table="logs.events", key_column="key", time_column="at")

    def ask(self, question: str) -> list[list[Any]]:
        """The rows of a SELECT."""
        with urlopen(f"{self.url}/?query={quote(question)}", timeout=60) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]

    def numbers(self) -> list[int]:
        return [int(number) for (number,) in self.ask("SELECT n FROM logs.events FINAL")]


class VictoriaLogsTarget(VictoriaLogs):
    """By one of its protocols; `field` is what it calls the event's number then."""

    stdout = subprocess.DEVNULL
    notices = "trying again"

    def __init__(self, kind: str, path: str, field: str = "n", **settings: Any) -> None:
        super().__init__()
        self._kind, self._path, self._field, self._settings = kind, path, field, settings
        self.kill = self.stop  # in order, see above

    @property
    def config(self) -> dict[str, Any]:
        return {"type": self._kind, "url": self.url + self._path, **self._settings}

    def numbers(self) -> list[int]:
        counted = self.query(f'* | stats by ("{self._field}") count() times')
        return [int(row[self._field]) for row in counted for _ in range(int(row["times"]))]


class Bucket(S3Server):
    """Objects in a bucket, read back from the server's folder."""

    stdout = subprocess.DEVNULL
    notices = "trying again"

    @property
    def config(self) -> dict[str, Any]:
        keys = {"access_key_id": self.access_key, "secret_access_key": self.secret_key}
        return {"type": "s3", "url": f"{self.url}/logs", "compression": "none", **keys}

    def numbers(self) -> list[int]:
        return numbers_in(line for content in self.objects().values() for line in content.splitlines())


class Folder:
    """A file in a folder; killed is when the folder is gone, with its file, until somebody brings it back."""

    stdout = subprocess.DEVNULL
    notices = "trying again"

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="nsqgw-"))
        self._folder = self._home / "logs"
        self._away = self._home / "away"
        self._away.mkdir()
        self.close = lambda: shutil.rmtree(self._home)

    @property
    def config(self) -> dict[str, Any]:
        return {"type": "file", "path": f"{self._folder}/events.ndjson"}

    def start(self) -> None:
        self._away.rename(self._folder)

    def kill(self) -> None:
        self._folder.rename(self._away)

    def numbers(self) -> list[int]:
        return numbers_in((self._folder / "events.ndjson").read_bytes().splitlines())


class Pipe:
    """The gateway's standard output; killed is when its reader ends and the pipe stays, for the next one.

    A reader ends in order, with what it has read written down: a pipe knows no answer, and what a reader
    takes with it nobody can send again. When nobody holds the pipe the gateway ends, which is another scene.
    """

    notices = ""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._end, self.stdout = os.pipe()
        self._reading = False
        self._reader = threading.Thread()

    @property
    def config(self) -> dict[str, Any]:
        return {"type": "stdout"}

    def start(self) -> None:
        self._reading = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def kill(self) -> None:
        self._reading = False
        self._reader.join(15)

    def close(self) -> None:
        self.kill()
        os.close(self._end)
        os.close(self.stdout)
        self._file.close()

    def numbers(self) -> list[int]:
        self._file.seek(0)
        return numbers_in(self._file.read().splitlines())

    def _read(self) -> None:
        while self._reading:
            if select.select([self._end], [], [], INTERVAL)[0]:
                self._file.write(os.read(self._end, 65536))


def _service(kind: str, sink: str = "", **settings: Any) -> Callable[[], Target]:
    return lambda: LogServiceProcess(kind, sink or kind, **settings)


def _victoria_logs(kind: str, path: str, field: str = "n", **settings: Any) -> Callable[[], Target]:
    return lambda: VictoriaLogsTarget(kind, path, field, **settings)


TARGETS: dict[str, Callable[[], Target]] = {
    **{name: functools.partial(lambda make: OfStore(make()), make) for name, make in stores.STORES.items()},
    "redis stream": lambda: OfStore(stores.RedisStore("stream")),
    "file": Folder,
    "stdout": Pipe,
    "http": _service("http"),
    "nginx": _service("nginx", path="/pub?id={channel}", style="push-stream", channel="{id}"),
    "loggly bulk": _service("loggly"),
    "loggly single": _service("loggly", endpoint="single"),
    "elasticsearch": _service("elasticsearch"),
    "splunk": _service("splunk"),
    "splunk acks": _service("splunk acks", "splunk", acknowledge=True, ack_interval=0.1, ack_timeout=2.0),
    "loki": _service("loki"),
    "datadog": _service("datadog"),
    "otlp": _service("otlp"),
    "clickhouse": ClickHouseProcess,
    "s3": Bucket,
    "victoria-logs http": _victoria_logs("http", "/insert/jsonline?_msg_field=text", compression="zstd"),
    "victoria-logs elasticsearch": _victoria_logs("elasticsearch", "/insert/elasticsearch"),
    "victoria-logs splunk": _victoria_logs("splunk", "/insert/splunk", "event.n", token="any"),
    "victoria-logs loki": _victoria_logs("loki", "/insert", compression="gzip"),
    "victoria-logs datadog": _victoria_logs("datadog", "/insert/datadog", api_key="any"),
    "victoria-logs otlp": _victoria_logs("otlp", "/insert/opentelemetry", body="structured"),
}
"""By the names of tests."""

KEYED = ("postgresql", "sqlite", "redis once", "elasticsearch", "loki", "clickhouse")
"""Those in which no event can be twice."""


@contextlib.contextmanager
def running(name: str) -> Iterator[Target]:
    """A destination that was started."""
    target = TARGETS[name]()
    try:
        target.start()
        yield target
    finally:
        target.close()
