"""`nsqgw nsq_to_file` next to the original: the same flags make files of the same names and contents."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.command import ROOT
from harness.embedded import EmbeddedNsqd
from harness.http import channel_stats, post
from harness.polling import eventually
from harness.real import require

COUNT = 300
TOPIC = "app.events"

SCENES = {
    "defaults": [],
    "names": ["-filename-format=<TOPIC>/<HOST>/x.<DATETIME>.log", "-host-identifier=id-<SHORT_HOST>"],
    "dates": ["-datetime-format=%Y%m%d-%j-%p-%%", "-filename-format={<TOPIC>}.%H.<DATETIME>"],
    "gzip": ["-gzip", "-gzip-level=9"],
    "rotation by size": ["-rotate-size=500"],
    "rotation of gzip": ["-rotate-size=500", "-gzip"],
    "work folder": ["-work-dir={work}", "-rotate-size=500", "-filename-format=<TOPIC>/<HOST><REV>.log"],
    "interval": ["-rotate-interval=1h", "-skip-empty-files"],
}


@pytest.fixture
def nsqd() -> Iterator[EmbeddedNsqd]:
    daemon = EmbeddedNsqd()
    daemon.start()
    yield daemon
    daemon.close()


def contents(folder: Path) -> dict[str, bytes]:
    """Names relative to the folder, and what can be read in the files."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found[str(path.relative_to(folder))] = gzip.decompress(data) if path.suffix == ".gz" else data
    return found


@pytest.mark.real
@pytest.mark.parametrize("scene", SCENES)
def test_the_same_flags_make_the_same_files(scene: str, nsqd: EmbeddedNsqd, tmp_path: Path) -> None:
    commands = {
        "original": [str(require("nsq_to_file"))],
        "ours": [sys.executable, "-m", "gateways.cli.main", "nsq_to_file"],
    }
    post(nsqd.http_address, f"/topic/create?topic={TOPIC}")
    running = {}
    for name, command in commands.items():
        post(nsqd.http_address, f"/channel/create?topic={TOPIC}&channel={name}")
        work = tmp_path / f"{name}-work"
        (tmp_path / name).mkdir()
        (tmp_path / name / "kept").write_bytes(b"")
        flags = [
            f"-topic={TOPIC}",
            f"-channel={name}",
            f"-output-dir={tmp_path / name}",
            "-sync-interval=50ms",
        ]
        flags += [flag.replace("{work}", str(work)) for flag in SCENES[scene]]
        flags.append(f"-nsqd-tcp-address={nsqd.tcp_address}")
        running[name] = subprocess.Popen([*command, *flags], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        bodies = b"\n".join(b"%d " % number * (number % 7 + 1) for number in range(COUNT))
        post(nsqd.http_address, f"/mpub?topic={TOPIC}", bodies)
        for name in running:
            eventually(lambda name=name: _finished(nsqd, name) == COUNT)
    finally:
        for process in running.values():
            process.terminate()
    assert [process.wait(15) for process in running.values()] == [0, 0]
    files = contents(tmp_path / "original")
    assert len(files) > 1
    assert contents(tmp_path / "ours") == files
    assert contents(tmp_path / "ours-work") == {}


def _finished(nsqd: EmbeddedNsqd, channel: str) -> int:
    stats = channel_stats(nsqd.http_address, TOPIC, channel)
    unfinished = stats["depth"] + stats["in_flight_count"] + stats["deferred_count"]
    return int(stats["message_count"] - unfinished)
