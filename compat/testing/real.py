"""The original nsqd and nsqlookupd as child processes, with the handles of those in this process.

Their ports and data stay the same over `stop` and `start`. What a test asserts comes from /stats; the clock
of a process cannot be turned, and it makes no mistakes on purpose.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from compat.nsqd.options import NsqdOptions, flag_name
from compat.testing.clock import Clock
from compat.testing.daemons import NsqdUnderTest
from compat.testing.faults import Faults
from compat.testing.records import ChannelRecord
from compat.testing.views import ChannelFigures, OnlyInProcess
from compat.testing.waiting import wait_until
from nsqgw.errors import ConnectionFailed, NSQError

START_TIMEOUT = 15.0
STOP_TIMEOUT = 15.0

_LISTENING = re.compile(r"(TCP|HTTP): listening on (\S+)")


class MissingProgram(NSQError):
    """There is no such program; the text names it and the remedy."""


def find_program(name: str, folder: str = "") -> Path:
    """The program in `folder`, or in PATH without one. Raises MissingProgram."""
    found = shutil.which(name, path=folder or None)
    if found is not None:
        return Path(found)
    where = f"in {folder}" if folder else "in PATH"
    raise MissingProgram(
        f"there is no program {name} {where}: install NSQ (https://nsq.io/deployment/installing.html), name "
        "its folder by --nsq-path=FOLDER, or run without --nsq-real"
    )


def flag_arguments(flags: dict[str, Any]) -> list[str]:
    """`msg_timeout=1.5` as `-msg-timeout=1.5s`; a tuple repeats the flag."""
    arguments = []
    for name, value in flags.items():
        flag = flag_name(name) if name in NsqdOptions.__dataclass_fields__ else name.replace("_", "-")
        if isinstance(value, tuple):
            arguments += [f"-{flag}={each}" for each in value]
        elif isinstance(value, bool):
            arguments.append(f"-{flag}={str(value).lower()}")
        else:
            arguments.append(f"-{flag}={value}s" if isinstance(value, float) else f"-{flag}={value}")
    return arguments


class Process:
    """One process of the program at `path`, in a folder of its own that `close` removes.

    Flags are given by name with `_` for `-`, durations as float seconds.
    """

    def __init__(self, path: Path, **flags: Any) -> None:
        self.command = [str(path)]
        self.flags: dict[str, Any] = {"tcp_address": "127.0.0.1:0", "http_address": "127.0.0.1:0"} | flags
        self.home = tempfile.TemporaryDirectory(prefix=f"{path.name}-")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The program's name."""
        return Path(self.command[0]).name

    @property
    def log(self) -> str:
        """What it wrote since it was started."""
        return (Path(self.home.name) / "log").read_text()

    def start(self) -> None:
        """Run it until it listens. ConnectionFailed, with its log, when it does not."""
        with (Path(self.home.name) / "log").open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - the program and its flags are the test's own
                [*self.command, *flag_arguments(self.flags)], stdin=subprocess.DEVNULL, stderr=log, stdout=log
            )
        try:
            listening = wait_until(self._listening, lambda found: len(found) == 2, START_TIMEOUT)
            if len(listening) < 2:
                raise ConnectionFailed(f"{self.name} does not listen after {START_TIMEOUT:g} s:\n{self.log}")
        except BaseException:
            self.end(signal.SIGKILL)
            raise
        self.flags |= {f"{kind.lower()}_address": address for kind, address in listening.items()}

    def end(self, how: signal.Signals) -> None:
        """Send it a signal and wait for its end; nothing happens when it does not run."""
        if self.process is not None:
            os.kill(self.process.pid, how)
            self.process.wait(STOP_TIMEOUT)
            self.process = None

    def close(self) -> None:
        """End it at once, and remove its folder."""
        self.end(signal.SIGKILL)
        self.home.cleanup()

    def _listening(self) -> dict[str, str]:
        assert self.process is not None
        if self.process.poll() is not None:
            raise ConnectionFailed(f"{self.name} ended with {self.process.returncode}:\n{self.log}")
        return dict(_LISTENING.findall(self.log))


class RealNsqd(NsqdUnderTest):
    """The original nsqd, from `folder` or PATH; `flags` by name. Raises MissingProgram."""

    real: ClassVar[bool] = True

    def __init__(self, folder: str = "", **flags: Any) -> None:
        self._process = Process(find_program("nsqd", folder), **({"broadcast_address": "127.0.0.1"} | flags))
        self._process.flags.setdefault("data_path", self._process.home.name)

    @property
    def clock(self) -> Clock:
        _refuse("its clock cannot be turned")

    @property
    def faults(self) -> Faults:
        _refuse("it makes no mistakes on purpose")

    def start(self) -> None:
        self._process.start()
        self.tcp_address = self._process.flags["tcp_address"]
        self.http_address = self._process.flags["http_address"]

    def stop(self) -> None:
        self._process.end(signal.SIGKILL)

    def close(self) -> None:
        self._process.close()

    def published_count(self, topic: str) -> int:
        from nsqgw.http import NsqdHttp

        with NsqdHttp(self.http_address) as http:
            found = http.stats(topic, include_clients=False, include_mem=False).topics
        return sum(each.message_count for each in found)

    def published_bodies(self, topic: str) -> list[bytes]:
        _refuse("it does not tell what was published")

    def channel_record(self, topic: str, channel: str) -> ChannelRecord:
        _refuse("it does not tell which messages were delivered and answered")

    def channel_figures(self, topic: str, channel: str) -> ChannelFigures:
        from nsqgw.http import NsqdHttp

        with NsqdHttp(self.http_address) as http:
            topics = http.stats(topic, channel, include_clients=False, include_mem=False).topics
        for stats in (each for found in topics for each in found.channels):
            there = stats.depth + stats.in_flight_count + stats.deferred_count
            return ChannelFigures(
                depth=stats.depth,
                in_flight=stats.in_flight_count,
                deferred=stats.deferred_count,
                consumers=stats.client_count,
                delivered=None,
                finished=stats.message_count - there,  # what came in and is not there any more
                requeued=stats.requeue_count,
                touched=None,
                timed_out=stats.timeout_count,
            )
        return ChannelFigures(delivered=None, touched=None)


class RealNsqlookupd:
    """The original nsqlookupd, likewise."""

    real: ClassVar[bool] = True
    tcp_address: str
    http_address: str

    def __init__(self, folder: str = "", **flags: Any) -> None:
        self._process = Process(
            find_program("nsqlookupd", folder), **({"broadcast_address": "127.0.0.1"} | flags)
        )

    def start(self) -> None:
        """Listen, on the same ports as before."""
        self._process.start()
        self.tcp_address = self._process.flags["tcp_address"]
        self.http_address = self._process.flags["http_address"]

    def stop(self) -> None:
        """End abruptly; nothing happens when it does not run."""
        self._process.end(signal.SIGKILL)

    def close(self) -> None:
        """End for good, and remove what it left on disk."""
        self._process.close()


def _refuse(why: str) -> NoReturn:
    raise OnlyInProcess(f"this is a real nsqd: {why}; run the test without --nsq-real")
