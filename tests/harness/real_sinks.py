"""Real log services as child processes, built by `make real-sinks`: VictoriaLogs, and an S3 server."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from harness.polling import eventually
from harness.real import BIN


def require(program: str) -> str:
    """The program's path; skips the test where it was not built (in CI a skip is a failure)."""
    path = BIN / program
    if not path.exists():
        pytest.skip(f"{program} is not in .cache/bin: make real-sinks")
    return str(path)


class _Process:
    """One process with a folder of its own; it keeps its port over stop() and start()."""

    def __init__(self, program: str) -> None:
        self.program = require(program)
        self.home = tempfile.TemporaryDirectory(prefix=f"{program}-")
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (Path(self.home.name) / "log").read_text()

    def run(self, *arguments: str, **environment: str) -> None:
        with (Path(self.home.name) / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [self.program, *arguments], stdout=log, stderr=log, env={**os.environ, **environment}
            )

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def stop(self) -> None:
        """As an administrator does: what it has confirmed is stored."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(15)
            self.process = None

    def close(self) -> None:
        self.stop()
        self.home.cleanup()


class VictoriaLogs(_Process):
    """Takes logs by many protocols, and finds them again."""

    def __init__(self) -> None:
        super().__init__("victoria-logs")

    def start(self) -> None:
        self.run(f"-storageDataPath={self.home.name}/data", f"-httpListenAddr=127.0.0.1:{self.port}")
        self.port = int(eventually(self._listening, what="VictoriaLogs listens"))

    def _listening(self) -> str | None:
        assert not self.ended(), self.log
        found = re.search(r"started server at http://127\.0\.0\.1:(\d+)/", self.log)
        return found and found[1]

    def query(self, text: str) -> list[dict[str, Any]]:
        """What LogsQL finds of all that was taken up to now."""
        urlopen(f"{self.url}/internal/force_flush", timeout=10).close()
        with urlopen(
            f"{self.url}/select/logsql/query?limit=200000&query={quote(text)}", timeout=10
        ) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]


class S3Server(_Process):
    """A bucket `logs`, with every signature checked. The buckets are folders below `root`."""

    access_key = "key"
    secret_key = "secret-of-the-test"

    def __init__(self) -> None:
        super().__init__("versitygw")
        self.root = Path(self.home.name) / "buckets"
        (self.root / "logs").mkdir(parents=True)

    def start(self) -> None:
        # It does not tell which port it got for 0: one that was free a moment ago is free again, mostly.
        tries = 1 if self.port else 5
        for _ in range(tries):
            if tries > 1:
                with socket.create_server(("127.0.0.1", 0)) as free:
                    self.port = free.getsockname()[1]
            self.run(
                "--port",
                f"127.0.0.1:{self.port}",
                "posix",
                str(self.root),
                ROOT_ACCESS_KEY=self.access_key,
                ROOT_SECRET_KEY=self.secret_key,
            )
            if (
                eventually(lambda: self.ended() or self._answers(), what="the S3 server listens")
                and not self.ended()
            ):
                return
        raise AssertionError(self.log)

    def _answers(self) -> bool:
        try:
            urlopen(self.url, timeout=5).close()
        except URLError as error:
            return hasattr(error, "code")  # it answers, though with a refusal
        return True

    def objects(self) -> dict[str, bytes]:
        """All there is in the bucket, by key."""
        bucket = self.root / "logs"
        found = (path for path in bucket.rglob("*") if path.is_file())
        return {
            str(path.relative_to(bucket)): path.read_bytes() for path in found if ".sgwtmp" not in path.parts
        }
