"""The file sink on disks that fill up, folders that vanish, and files that are moved away."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateways.pipeline.sink import CONFIRMED, Fate, SinkUnusable
from gateways.ship.sinks.file import FileSettings, FileSink
from harness.pipeline import make_batch
from harness.polling import eventually_async


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder / "out.ndjson"


@pytest.fixture
async def sink(path: Path) -> AsyncIterator[FileSink]:
    opened = FileSink(FileSettings(path=str(path)))
    await opened.open()
    yield opened
    await opened.close()


async def test_it_appends_to_what_is_there(path: Path) -> None:
    path.write_bytes(b"before\n")
    sink = FileSink(FileSettings(path=str(path)))
    await sink.open()
    await sink.send(make_batch([b"after"]))
    assert path.read_bytes() == b"before\nafter\n"
    await sink.close()


async def test_the_piece_of_a_line_that_a_killed_writer_left_is_ended_first(path: Path) -> None:
    path.write_bytes(b"whole\nhal")
    sink = FileSink(FileSettings(path=str(path)))
    await sink.open()
    await sink.send(make_batch([b"half"]))
    assert path.read_bytes() == b"whole\nhal\nhalf\n"
    await sink.close()


async def test_file_and_folder_are_on_disk_before_the_batch_is_confirmed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real_fsync = os.fsync

    def fsync(fd: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else f"file of {os.fstat(fd).st_size} bytes"
        synced.append(kind)
        real_fsync(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    sink = FileSink(FileSettings(path=str(path)))
    await sink.open()
    assert await sink.send(make_batch([b"a", b"b"])) is CONFIRMED
    assert synced == ["folder", "file of 4 bytes"]
    await sink.close()


async def test_a_file_moved_away_is_left_alone_and_a_new_one_begun(sink: FileSink, path: Path) -> None:
    await sink.send(make_batch([b"first"]))
    path.rename(path.with_suffix(".1"))
    await sink.send(make_batch([b"second"]))
    assert path.with_suffix(".1").read_bytes() == b"first\n"
    assert path.read_bytes() == b"second\n"


async def test_a_file_replaced_by_another_is_followed(sink: FileSink, path: Path) -> None:
    await sink.send(make_batch([b"first"]))
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"new\n")
    await sink.send(make_batch([b"second"]))
    assert path.read_bytes() == b"new\nsecond\n"


async def test_a_file_cut_in_place_is_appended_to(sink: FileSink, path: Path) -> None:
    await sink.send(make_batch([b"first"]))
    os.truncate(path, 0)
    await sink.send(make_batch([b"second"]))
    assert path.read_bytes() == b"second\n"


async def test_a_vanished_folder_is_waited_for(sink: FileSink, path: Path) -> None:
    await sink.send(make_batch([b"first"]))
    path.parent.rename(path.parent.with_name("gone"))
    batch = make_batch([b"second"])
    for _ in range(2):
        outcome = await sink.send(batch)
        assert (outcome.fate, outcome.reason) == (Fate.RETRY, "No such file or directory")
    path.parent.mkdir()
    assert await sink.send(batch) is CONFIRMED
    assert path.read_bytes() == b"second\n"


async def test_a_full_disk_is_waited_for_and_leaves_no_torn_line(
    sink: FileSink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sink.send(make_batch([b"first"]))
    real_write = os.write
    room = 7

    def write(fd: int, data: bytes) -> int:
        nonlocal room
        if fd != sink._series_of(path.name).fd:
            return real_write(fd, data)
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real_write(fd, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", write)
    batch = make_batch([b"second", b"third"])
    outcome = await sink.send(batch)
    assert (outcome.fate, outcome.reason) == (Fate.RETRY, "No space left on device")
    assert path.read_bytes() == b"first\n"
    room = 1000
    assert await sink.send(batch) is CONFIRMED
    assert path.read_bytes() == b"first\nsecond\nthird\n"


async def test_a_real_full_device_is_not_confirmed() -> None:
    sink = FileSink(FileSettings(path="/dev/full"))
    with pytest.raises(SinkUnusable, match=r"/dev/full is no regular file; use '--to stdout' for pipes"):
        await sink.open()
    await sink.close()


async def test_a_write_that_fails_after_another_program_appended_is_ended_by_a_newline(
    sink: FileSink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_fsync = os.fsync

    def fsync(fd: int) -> None:
        with path.open("ab") as other:
            other.write(b"other\npart")
        monkeypatch.setattr(os, "fsync", real_fsync)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    batch = make_batch([b"mine"])
    assert (await sink.send(batch)).reason == "Input/output error"
    assert await sink.send(batch) is CONFIRMED
    assert path.read_bytes() == b"mine\nother\npart\nmine\n"


async def test_a_batch_sent_again_during_its_write_is_written_once(
    sink: FileSink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, may_write = threading.Event(), threading.Event()
    real_fsync = os.fsync

    def fsync(fd: int) -> None:
        writing.set()
        assert may_write.wait(10)
        real_fsync(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    batch = make_batch([b"once"])
    first = asyncio.create_task(sink.send(batch))
    await eventually_async(writing.is_set)
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.create_task(sink.send(batch))
    may_write.set()
    assert await second is CONFIRMED
    assert path.read_bytes() == b"once\n"


async def test_after_an_unforeseen_failure_the_next_try_writes_anew(
    sink: FileSink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_fsync = os.fsync

    def fsync(fd: int) -> None:
        monkeypatch.setattr(os, "fsync", real_fsync)
        raise MemoryError("for this time")

    monkeypatch.setattr(os, "fsync", fsync)
    batch = make_batch([b"line"])
    with pytest.raises(MemoryError):
        await sink.send(batch)
    assert await sink.send(batch) is CONFIRMED
    assert path.read_bytes().endswith(b"line\n")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("missing/out", "cannot write to {}: No such file or directory; create the folder {folder} first"),
        (".", "cannot write to {}: Is a directory; choose a file that this user may write"),
        ("pipe", "{} is no regular file; use '--to stdout' for pipes"),
    ],
)
async def test_what_cannot_be_opened_is_named_with_the_remedy(tmp_path: Path, name: str, text: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = os.path.abspath(tmp_path / name)
    sink = FileSink(FileSettings(path=path))
    with pytest.raises(SinkUnusable) as caught:
        await sink.open()
    assert str(caught.value) == text.format(path, folder=os.path.dirname(path))
    await sink.close()
