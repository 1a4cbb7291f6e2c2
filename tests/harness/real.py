"""The original nsqd and nsqlookupd as child processes, built by `make real-daemons`."""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from compat.testing.real import flag_arguments
from harness.polling import eventually

BIN = Path(__file__).parents[2] / ".cache" / "bin"
LISTENING = re.compile(r"(TCP|HTTPS?): listening on (\S+)")


def require(program: str) -> Path:
    """The program's path; skips the test where it was not built (in CI a skip is a failure)."""
    path = BIN / program
    if not path.exists():
        pytest.skip(f"the original {program} is not in .cache/bin: make real-daemons")
    return path


class RealDaemon:
    """One process of the original; its ports and data stay the same over stop() and start().

    Flags are given by name with `_` for `-`, durations as float seconds.
    """

    program: str
    kind = "real"

    def __init__(self, **flags: Any) -> None:
        self.command = self.find_command()
        self.flags: dict[str, Any] = {"tcp_address": "127.0.0.1:0", "http_address": "127.0.0.1:0"} | flags
        self.home = tempfile.TemporaryDirectory(prefix=f"{self.program}-")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def tcp_address(self) -> str:
        return str(self.flags["tcp_address"])

    @property
    def http_address(self) -> str:
        return str(self.flags["http_address"])

    @property
    def https_address(self) -> str:
        return str(self.flags["https_address"])

    @property
    def data_path(self) -> Path:
        path = Path(self.home.name) / "data"
        path.mkdir(exist_ok=True)
        return path

    @property
    def log(self) -> str:
        return (Path(self.home.name) / "log").read_text()

    def find_command(self) -> list[str]:
        return [str(require(self.program))]

    def extra_arguments(self) -> list[str]:
        return []

    def start(self) -> None:
        """Starts it. At a restart its port may be that of somebody's outgoing connection for a moment."""
        eventually(self._starts, what=f"{self.program} gets its ports back")

    def _starts(self) -> bool:
        arguments = flag_arguments(self.flags) + self.extra_arguments()
        with (Path(self.home.name) / "log").open("wb") as log:
            self.process = subprocess.Popen([*self.command, *arguments], stderr=log, stdout=log)
        try:
            listening = eventually(self._listening, what=f"{self.program} listens")
        except BaseException as error:
            self.stop()
            if isinstance(error, AssertionError) and "address already in use" in self.log:
                return False
            raise
        self.flags |= {f"{kind.lower()}_address": address for kind, address in listening.items()}
        return True

    def _listening(self) -> dict[str, str]:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.program} ended with {self.process.returncode}:\n{self.log}")
        found = dict(LISTENING.findall(self.log))
        expected = 3 if "tls_cert" in self.flags else 2
        return found if len(found) == expected else {}

    def stop(self) -> None:
        """Ends it abruptly, as a crash does."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """Ends it as an administrator does: it stores what it has."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)  # to nobody, should it have ended by itself
            self.process.wait(15)
            self.process = None

    def close(self) -> None:
        self.stop()
        self.home.cleanup()


class RealNsqd(RealDaemon):
    program = "nsqd"

    def __init__(self, **flags: Any) -> None:
        super().__init__(**{"https_address": "127.0.0.1:0"} | flags)  # with TLS it would take port 4152

    def extra_arguments(self) -> list[str]:
        return [f"-data-path={self.data_path}", "-broadcast-address=127.0.0.1"]


class RealNsqlookupd(RealDaemon):
    program = "nsqlookupd"

    def extra_arguments(self) -> list[str]:
        return ["-broadcast-address=127.0.0.1"]
