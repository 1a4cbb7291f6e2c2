"""Faults, each to a gateway that is at work, with more events to come; one that ends is started again."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateways.ship.dead_letters.envelope import read_letter
from harness.http import channel_stats, post
from harness.polling import eventually
from harness.real import RealNsqd
from perf.faults.gateways import CHANNEL, TO_FILE, TO_HTTP, Gateway
from perf.faults.service import Rule, Service, always, choosy, healthy, stormy

MANY = 2000
FEW = 5
"""As on a quiet topic: each of them is tried again and again while a service is down."""
BAD = b"1234"
_OUTAGE = 8.0  # seconds; five attempts take the others less
_GIVE_UP = 40.0  # seconds without an event that came or went: what is left then stays with nsqd
_topics = (f"faults-{number}" for number in itertools.count())


@dataclass(frozen=True)
class Losses:
    """What became of the events that nsqd had confirmed; `kept` are with nsqd or dead letters."""

    lost: int
    doubled: int
    kept: int


class Stage:
    """One gateway at work."""

    def __init__(self, nsqd: RealNsqd, gateway: Gateway, folder: Path, service: Service) -> None:
        self.nsqd, self.gateway, self.folder, self.service = nsqd, gateway, folder, service
        self.out = folder / "out"
        self.out.mkdir()
        self.topic = next(_topics)
        self.process: subprocess.Popen[bytes] | None = None
        self.published = 0

    def publish(self, count: int = MANY) -> None:
        """The next numbers."""
        bodies = b"\n".join(b"%d" % number for number in range(self.published, self.published + count))
        post(self.nsqd.http_address, f"/channel/create?topic={self.topic}&channel={CHANNEL}")
        assert post(self.nsqd.http_address, f"/mpub?topic={self.topic}", bodies).body == b"OK"
        self.published += count

    def start(self) -> None:
        """The gateway; until something has come through."""
        before = self.arrived().total()
        self.process = self.gateway.start(self.nsqd, self.topic, self.folder, self.service.url)
        eventually(lambda: self.arrived().total() > before, 30.0, f"{self.gateway.name} begins")

    def end(self, how: signal.Signals) -> None:
        """The gateway."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(60)

    def revive(self) -> None:
        """As a supervisor does with what has ended."""
        if self.process is None or self.process.poll() is not None:
            self.process = self.gateway.start(self.nsqd, self.topic, self.folder, self.service.url)

    def arrived(self) -> Counter[bytes]:
        """All there is, in the service or in files."""
        lines = [
            line for file in self.out.rglob("*") if file.is_file() for line in file.read_bytes().splitlines()
        ]
        return self.service.arrived + Counter(lines)

    def left(self) -> int:
        """What nsqd has still."""
        figures = channel_stats(self.nsqd.http_address, self.topic, CHANNEL)
        return int(figures["depth"] + figures["in_flight_count"] + figures["deferred_count"])

    def settle(self) -> Losses:
        """When everything has come to its end, or nothing changes any more."""
        changed, last = time.monotonic(), -1
        while (left := self.left()) and time.monotonic() - changed < _GIVE_UP:
            if left != last:
                changed, last = time.monotonic(), left
            self.revive()
            time.sleep(0.1)
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGTERM)
        arrived, dead = self.arrived(), self._dead()
        whole = {b"%d" % number for number in range(self.published)}
        missing = whole.difference(arrived).difference(dead)
        kept = min(self.left(), len(missing))
        doubled = sum(arrived[event] - 1 for event in whole.intersection(arrived))
        return Losses(len(missing) - kept, doubled, kept + len(whole.intersection(dead)))

    def _dead(self) -> set[bytes]:
        file = self.folder / "dead"
        return {read_letter(line).body for line in file.read_bytes().splitlines()} if file.exists() else set()


Fault = Callable[[Stage], None]


def killed(stage: Stage) -> None:
    """kill -9, three times."""
    for _ in range(3):
        stage.publish()
        stage.start()
        stage.end(signal.SIGKILL)


def stopped(stage: Stage) -> None:
    """SIGTERM, three times."""
    for _ in range(3):
        stage.publish()
        stage.start()
        stage.end(signal.SIGTERM)


def refused(rule: Rule) -> Fault:
    """Requests for some seconds, in which few events come."""

    def fault(stage: Stage) -> None:
        stage.publish()
        stage.start()
        eventually(lambda: stage.left() == 0, 30.0)
        stage.service.rule = rule
        stage.publish(FEW)
        time.sleep(_OUTAGE)
        stage.service.rule = healthy

    return fault


def one_bad(stage: Stage) -> None:
    """One event, for ever."""
    stage.service.rule = choosy(BAD)
    stage.publish()
    stage.start()


def folder_gone(stage: Stage) -> None:
    """The folder with all its files is moved away for some seconds, and comes back."""
    stage.publish()
    stage.start()
    away = stage.folder / "away"
    stage.out.rename(away)
    stage.publish()
    ends = time.monotonic() + _OUTAGE / 2
    while time.monotonic() < ends:
        stage.revive()
        time.sleep(0.1)
    for file in away.rglob("*"):
        new = stage.out / file.relative_to(away)
        new.parent.mkdir(parents=True, exist_ok=True)
        file.rename(new if not new.exists() else new.with_name(f"{new.name}.before"))


SCENES: Sequence[tuple[str, Sequence[Gateway], Fault]] = (
    ("gateway killed (kill -9), three times", TO_HTTP, killed),
    ("gateway ended by SIGTERM under load, three times", TO_HTTP, stopped),
    ("service answers 503, for longer than five attempts take", TO_HTTP, refused(always(503))),
    ("service answers 503 to three of four requests", TO_HTTP, refused(stormy())),
    ("service answers 400 to one event", TO_HTTP, one_bad),
    ("service answers 401, then is mended", TO_HTTP, refused(always(401))),
    ("file: gateway killed in the middle of writing, three times", TO_FILE, killed),
    ("file: its folder is gone, and comes back", TO_FILE, folder_gone),
)


@contextlib.contextmanager
def _stage(nsqd: RealNsqd, gateway: Gateway) -> Iterator[Stage]:
    service = Service()
    with tempfile.TemporaryDirectory(prefix="nsqgw-faults-") as folder:
        stage = Stage(nsqd, gateway, Path(folder), service)
        try:
            yield stage
        finally:
            if stage.process is not None and stage.process.poll() is None:
                stage.end(signal.SIGKILL)
            service.close()


def play(nsqd: RealNsqd, gateway: Gateway, fault: Fault) -> Losses:
    """One scene with one gateway."""
    with _stage(nsqd, gateway) as stage:
        fault(stage)
        stage.publish()
        return stage.settle()
