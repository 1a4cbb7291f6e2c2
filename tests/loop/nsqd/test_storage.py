"""A broker over a folder: when it syncs, what it confirms, and what it does when the disk fails."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.nsqd import backend
from compat.nsqd.options import NsqdOptions
from compat.threaded import ThreadedNsqd
from harness.http import channel_stats, get, post, stats
from harness.polling import eventually
from harness.wire import Wire, mpub_body, sized

Start = Callable[..., ThreadedNsqd]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a broker over the folder; no sync for time's sake, unless asked for."""
    started: list[ThreadedNsqd] = []

    def begin(**options: Any) -> ThreadedNsqd:
        settings = {"data_path": str(tmp_path), "mem_queue_size": 0, "sync_timeout": 3600.0, **options}
        daemon = ThreadedNsqd(NsqdOptions(broadcast_address="127.0.0.1", **settings))
        daemon.start()
        started.append(daemon)
        return daemon

    yield begin
    for daemon in started:
        daemon.stop()


class Syncs:
    """fsync, which counts, waits and fails as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.error: OSError | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, fd: int) -> None:
        self.count += 1
        assert self.may_go_on.wait(15.0)
        if self.error is not None:
            raise self.error
        self._fsync(fd)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    return Syncs(monkeypatch)


def meta(folder: Path, name: str) -> str:
    path = folder / f"{name}.diskqueue.meta.dat"
    return path.read_text() if path.exists() else ""


def test_with_sync_every_1_the_answer_comes_after_the_sync(start: Start, syncs: Syncs) -> None:
    nsqd = start(sync_every=1)
    with Wire(nsqd.tcp_address) as first, Wire(nsqd.tcp_address) as second:
        first.ok(b"PUB t", b"creates the topic")
        syncs.may_go_on.clear()
        first.send(b"PUB t\n" + sized(b"one") + b"PUB t\n" + sized(b"two"))
        second.send(b"MPUB t\n" + mpub_body(b"three"))
        assert first.is_silent(0.1)
        assert second.is_silent(0.1)
        assert stats(nsqd.http_address)["topics"][0]["depth"] == 4  # others are served meanwhile
        syncs.may_go_on.set()
        assert [first.frame().data, first.frame().data, second.frame().data] == [b"OK"] * 3


def test_all_publishers_of_a_moment_share_a_sync(start: Start, syncs: Syncs) -> None:
    nsqd = start(sync_every=1)
    wires = [Wire(nsqd.tcp_address) for _ in range(20)]
    wires[0].ok(b"PUB t", b"creates the topic")
    syncs.may_go_on.clear()
    wires[0].send(b"PUB t\n" + sized(b"begins a round"))
    eventually(lambda: syncs.count)
    for wire in wires[1:]:
        wire.send(b"PUB t\n" + sized(b"x"))
    eventually(lambda: stats(nsqd.http_address)["topics"][0]["depth"] == 21)
    before = syncs.count
    syncs.may_go_on.set()
    for wire in wires:
        assert wire.frame().data == b"OK"
        wire.close()
    assert syncs.count - before <= 4  # data and meta file, of the round that began and of the next


def test_a_command_that_is_refused_behind_it_does_not_overtake_the_answer(start: Start, syncs: Syncs) -> None:
    nsqd = start(sync_every=1)
    with Wire(nsqd.tcp_address) as wire:
        wire.send(b"PUB t\n" + sized(b"x") + b"FIN 0123456789abcdef\n")
        assert wire.frame().data == b"OK"
        assert wire.error().startswith("E_INVALID")
        assert wire.is_closed()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"PUB t\n" + sized(b"x"), "E_PUB_FAILED PUB failed "),
        (b"DPUB t 9\n" + sized(b"x"), "E_DPUB_FAILED DPUB failed "),
        (b"MPUB t\n" + mpub_body(b"x"), "E_MPUB_FAILED MPUB failed "),
    ],
)
def test_a_sync_that_fails_is_told(start: Start, syncs: Syncs, command: bytes, code: str) -> None:
    nsqd = start(sync_every=1)
    with Wire(nsqd.tcp_address) as wire:
        wire.ok(b"PUB t", b"x")
        syncs.error = OSError(errno.EIO, "Input/output error")
        wire.send(command)
        assert wire.error() == f"{code}sync: Input/output error"
        assert wire.is_closed()
    assert post(nsqd.http_address, "/pub?topic=t", b"x").status == 503
    assert get(nsqd.http_address, "/ping").status == 500
    syncs.error = None
    assert post(nsqd.http_address, "/pub?topic=t", b"x").status == 200
    assert get(nsqd.http_address, "/ping").status == 200


def test_the_meta_file_follows_after_so_many_reads_and_writes(start: Start, tmp_path: Path) -> None:
    nsqd = start(sync_every=5)
    with Wire(nsqd.tcp_address) as wire:
        for number in range(4):
            wire.ok(b"PUB t", b"%d" % number)
        assert meta(tmp_path, "t") == ""
        wire.ok(b"PUB t", b"4")
        eventually(lambda: meta(tmp_path, "t") == "5\n0,0\n0,155\n")


def test_the_meta_file_follows_after_the_time_out(start: Start, tmp_path: Path) -> None:
    nsqd = start(sync_timeout=0.05)
    with Wire(nsqd.tcp_address) as wire:
        wire.ok(b"PUB t", b"x")
        eventually(lambda: meta(tmp_path, "t") == "1\n0,0\n0,31\n")
        wire.subscribe("t", "c", rdy=1)
        message = wire.message()
        eventually(lambda: meta(tmp_path, "t:c") == "1\n0,0\n0,31\n")
        wire.finish(message.id)
        eventually(lambda: meta(tmp_path, "t:c") == "0\n0,31\n0,31\n")


def test_a_quiet_broker_leaves_the_disk_alone(start: Start, syncs: Syncs) -> None:
    nsqd = start(sync_timeout=0.01)
    with Wire(nsqd.tcp_address) as wire:
        wire.ok(b"PUB t", b"x")

    def quiet() -> bool:
        """For ten times the time-out."""
        before = syncs.count
        time.sleep(0.1)
        return syncs.count == before > 0

    eventually(quiet)


def test_with_room_in_memory_nothing_is_written(start: Start, tmp_path: Path) -> None:
    nsqd = start(mem_queue_size=10, sync_every=1, sync_timeout=0.01)
    with Wire(nsqd.tcp_address) as wire:
        wire.subscribe("t", "c", rdy=5)
        for _ in range(20):
            wire.ok(b"PUB t", b"x")
            wire.finish(wire.message().id)
    assert list(tmp_path.glob("*.diskqueue.*")) == []


def test_a_full_disk_loses_nothing_that_was_confirmed(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The topic's file takes what the channel's does not: messages wait in memory, and the topic waits."""
    nsqd = start(sync_timeout=0.05)
    post(nsqd.http_address, "/topic/create?topic=t")
    post(nsqd.http_address, "/channel/create?topic=t&channel=c")
    with Wire(nsqd.tcp_address) as wire:
        wire.ok(b"PUB t", b"before")
        eventually(lambda: channel_stats(nsqd.http_address, "t", "c")["depth"] == 1)
        write, full = os.pwrite, threading.Event()
        full.set()

        def pwrite(fd: int, data: bytes, offset: int) -> int:
            if full.is_set() and ":" in os.readlink(f"/proc/self/fd/{fd}"):
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(fd, data, offset)

        monkeypatch.setattr(os, "pwrite", pwrite)
        for number in range(5):
            wire.ok(b"PUB t", b"%d" % number)
        eventually(lambda: get(nsqd.http_address, "/ping").status == 500)
        [topic] = stats(nsqd.http_address)["topics"]
        assert topic["depth"] + topic["channels"][0]["depth"] == 6
        full.clear()
        eventually(lambda: channel_stats(nsqd.http_address, "t", "c")["backend_depth"] == 6)
        assert get(nsqd.http_address, "/ping").body == b"OK"
        wire.subscribe("t", "c", rdy=10)
        assert sorted(wire.message().body for _ in range(6)) == [b"0", b"1", b"2", b"3", b"4", b"before"]


def test_a_full_disk_and_a_crash_lose_nothing_that_was_confirmed(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the channel could not store is read again from the topic's file."""
    folder, left = tmp_path / "data", tmp_path / "left"
    folder.mkdir()
    nsqd = start(data_path=str(folder), sync_timeout=0.01)
    post(nsqd.http_address, "/topic/create?topic=t")
    post(nsqd.http_address, "/channel/create?topic=t&channel=c")
    write, full = os.pwrite, threading.Event()
    full.set()

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        if full.is_set() and ":" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with Wire(nsqd.tcp_address) as wire:
        for number in range(5):
            wire.ok(b"PUB t", b"%d" % number)
    # four wait in the topic, one was handed to the channel, and is not done with
    eventually(lambda: channel_stats(nsqd.http_address, "t", "c")["depth"] == 1)
    eventually(lambda: meta(folder, "t").startswith("5\n"))
    shutil.copytree(folder, left)  # what a crash would leave
    full.clear()
    again = start(data_path=str(left))
    with Wire(again.tcp_address) as wire:
        wire.subscribe("t", "c", rdy=10)
        assert {wire.message().body for _ in range(5)} == {b"%d" % number for number in range(5)}


def test_a_topic_that_is_deleted_leaves_no_file_and_can_come_again(start: Start, tmp_path: Path) -> None:
    nsqd = start(sync_every=1)
    for body in (b"one", b"two"):
        assert post(nsqd.http_address, "/pub?topic=t", body).status == 200
        post(nsqd.http_address, "/channel/create?topic=t&channel=c")
        eventually(lambda: channel_stats(nsqd.http_address, "t", "c")["depth"] == 1)
        assert list(tmp_path.glob("t*.diskqueue.*"))
        post(nsqd.http_address, "/topic/delete?topic=t")
        assert list(tmp_path.glob("t*.diskqueue.0*")) == []
    nsqd.stop()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nsqd.dat"]


def test_what_a_crash_left_half_done_is_cleared_away(start: Start, tmp_path: Path) -> None:
    (tmp_path / "t:c.diskqueue.meta.dat.123.tmp").write_text("1\n")
    (tmp_path / "nsqd.dat.123.tmp").write_text("{")
    (tmp_path / "mine.tmp").write_text("stays")
    start()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.tmp", "nsqd.dat"]


def test_without_a_folder_there_are_no_files_and_memory_has_an_end(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backend, "MEMORY_LIMIT", 10_000)
    nsqd = start(data_path="", mem_queue_size=3)
    confirmed = 3 + 10_000 // 1200
    with Wire(nsqd.tcp_address) as wire:
        for _ in range(confirmed):
            wire.ok(b"PUB t", bytes(1000))
        wire.send(b"PUB t\n" + sized(bytes(1000)))
        assert wire.error().startswith("E_PUB_FAILED PUB failed memory is full")
        assert wire.is_closed()
    assert get(nsqd.http_address, "/ping").status == 500
    with Wire(nsqd.tcp_address) as reader:
        reader.subscribe("t", "c", rdy=100)
        for _ in range(confirmed):
            reader.finish(reader.message().id)
        reader.ok(b"PUB t", b"room again")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_one_clear_line(start: Start, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^--data-path=/no/such/folder: .*name a folder that can be written$"
    ):
        start(data_path="/no/such/folder")
    start()
    with pytest.raises(ValueError, match=r"another nsqd uses it; give each its own$"):
        start()
