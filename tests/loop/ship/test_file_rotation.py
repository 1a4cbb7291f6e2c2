"""The file sink over time: names, revisions, compression, work folders, what a killed gateway left behind."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cramjam
import pytest

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome, Sink
from gateways.ship.sinks.file import FileSettings
from harness.pipeline import RecordingOrigin, make_batch, make_messages
from harness.polling import eventually_async


def sink_to(folder: Path, name: str, **settings: Any) -> Sink:
    return FileSettings(path=f"{folder}/{name}", **settings).make(1)


def batch_of(sink: Sink, *bodies: bytes, topic: str = "events") -> Batch:
    origin = RecordingOrigin()
    origin.topic = topic
    messages = make_messages(bodies, origin)
    batch = make_batch([sink.encode(message) for message in messages])
    batch.messages = messages
    return batch


async def ship(sink: Sink, *bodies: bytes, topic: str = "events") -> Outcome:
    return await sink.send(batch_of(sink, *bodies, topic=topic))


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


async def test_a_file_above_its_size_gets_no_more_lines(tmp_path: Path) -> None:
    sink = sink_to(tmp_path, "x<REV>.log", rotate_size=10)
    await sink.open()
    assert await ship(sink, b"aaaa", b"bbbb", b"cccc", b"dddd", b"eeee") is CONFIRMED
    await sink.close()
    assert contents(tmp_path) == {
        "x-000000.log": b"aaaa\nbbbb\ncccc\n",
        "x-000001.log": b"dddd\neeee\n",
    }


async def test_a_full_file_is_not_continued_by_the_next_gateway(tmp_path: Path) -> None:
    (tmp_path / "x-000000.log").write_bytes(b"more than ten bytes\n")
    sink = sink_to(tmp_path, "x<REV>.log", rotate_size=10)
    await sink.open()
    await ship(sink, b"next")
    await sink.close()
    assert contents(tmp_path)["x-000001.log"] == b"next\n"


async def test_the_name_follows_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    sink = sink_to(tmp_path, "<TOPIC>/<DATETIME>.log", datetime_format="%Y-%m-%d_%H", utc=True)
    await sink.open()
    await ship(sink, b"early", topic="a")
    now += 3600
    await ship(sink, b"late", topic="a")
    await ship(sink, b"other", topic="b")
    await sink.close()
    assert contents(tmp_path) == {
        "a/2023-11-14_22.log": b"early\n",
        "a/2023-11-14_23.log": b"late\n",
        "b/2023-11-14_23.log": b"other\n",
    }


async def test_events_choose_their_file_by_a_field(tmp_path: Path) -> None:
    sink = sink_to(tmp_path, "{field:service}.log", max_open_files=1)
    await sink.open()
    outcome = await ship(sink, b'{"service":"a"}', b'{"service":"../b"}', b"{}", b'{"service":"a","n":2}')
    assert outcome.per_event == [Fate.CONFIRMED, Fate.CONFIRMED, Fate.REJECTED, Fate.CONFIRMED]
    assert outcome.reasons is not None
    assert "service" in outcome.reasons[2]
    await sink.close()
    assert contents(tmp_path) == {
        "__b.log": b'{"service":"../b"}\n',
        "a.log": b'{"service":"a"}\n{"service":"a","n":2}\n',
    }


@pytest.mark.parametrize(
    ("compression", "suffix", "unpack"),
    [("gzip", ".gz", gzip.decompress), ("zstd", ".zst", lambda data: bytes(cramjam.zstd.decompress(data)))],
)
async def test_every_batch_can_be_read_as_soon_as_it_is_confirmed(
    tmp_path: Path, compression: str, suffix: str, unpack: Callable[[bytes], bytes]
) -> None:
    sink = sink_to(tmp_path, "x<REV>.log", compression=compression)
    await sink.open()
    await ship(sink, b"one")
    assert unpack((tmp_path / f"x-000000.log{suffix}").read_bytes()) == b"one\n"
    await ship(sink, b"two", b"three")
    assert unpack((tmp_path / f"x-000000.log{suffix}").read_bytes()) == b"one\ntwo\nthree\n"
    await sink.close()
    again = sink_to(tmp_path, "x<REV>.log", compression=compression)
    await again.open()
    await ship(again, b"four")
    await again.close()
    assert unpack((tmp_path / f"x-000001.log{suffix}").read_bytes()) == b"four\n"


async def test_finished_files_move_out_of_the_work_folder_and_over_no_other(tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    sink = sink_to(out, "<TOPIC>/x<REV>.log", work_folder=str(work), rotate_size=3)
    await sink.open()
    await ship(sink, b"first")
    assert contents(tmp_path) == {"work/events/x-000000.log": b"first\n"}
    (out / "events" / "x-000000.log").write_bytes(b"somebody else's\n")
    await ship(sink, b"second")
    assert contents(tmp_path) == {
        "out/events/x-000000.log": b"somebody else's\n",
        "out/events/x-000001.log": b"first\n",
        "work/events/x-000002.log": b"second\n",
    }
    await sink.close()
    assert contents(work) == {}
    assert contents(out)["events/x-000002.log"] == b"second\n"


async def test_a_work_file_moves_when_its_time_is_over_without_another_event(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    sink = sink_to(tmp_path, "x<REV>.log", work_folder=str(tmp_path / "work"), rotate_interval=0.01)
    await sink.open()
    await ship(sink, b"only")
    await eventually_async(lambda: contents(tmp_path) == {"x-000000.log": b"only\n"})
    await sink.close()


async def test_a_work_file_without_a_line_is_no_finished_one(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    hook = ("touch", str(tmp_path / "heard"))
    sink = sink_to(tmp_path, "x<REV>.log", work_folder=str(tmp_path / "work"), finished_hook=hook)
    await sink.open()  # as `nsqgw ship validate` does
    await sink.close()
    assert contents(tmp_path) == {}


async def test_a_finished_file_that_cannot_move_is_moved_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    sink = sink_to(out, "x<REV>.log", work_folder=str(work), rotate_size=3)
    await sink.open()
    await ship(sink, b"first")
    real_link = os.link

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    assert await ship(sink, b"second") is CONFIRMED
    assert "x-000000.log is finished and stays there for now: No space left on device" in caplog.text
    monkeypatch.setattr(os, "link", real_link)
    await eventually_async(lambda: (out / "x-000000.log").exists())
    await sink.close()
    assert contents(tmp_path) == {"out/x-000000.log": b"first\n", "out/x-000001.log": b"second\n"}


async def test_a_file_that_was_closed_for_others_is_moved_later_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    sink = sink_to(tmp_path, "{topic}<REV>.log", work_folder=str(tmp_path / "work"), max_open_files=1)
    await sink.open()
    await ship(sink, b"first", topic="a")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        await ship(sink, b"second", topic="b")
    await eventually_async(lambda: (tmp_path / "a-000000.log").exists())
    await sink.close()


async def test_a_move_to_another_file_system_is_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    real_link = os.link

    def link(source: str, target: str) -> None:
        if "work" in source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real_link(source, target)

    monkeypatch.setattr(os, "link", link)
    sink = sink_to(tmp_path, "x<REV>.log", work_folder=str(tmp_path / "work"))
    await sink.open()
    await ship(sink, b"body")
    await sink.close()
    assert contents(tmp_path) == {"x-000000.log": b"body\n"}


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
async def test_what_a_killed_gateway_left_is_cut_where_it_is_whole_and_moved(
    tmp_path: Path, compression: str
) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    settings = {"work_folder": str(work), "compression": compression}
    killed = sink_to(out, "x<REV>.log", **settings)
    await killed.open()
    await ship(killed, b"one", b"two")
    await ship(killed, b"three")
    (path,) = work.iterdir()
    whole = path.read_bytes()
    # A copy, for the killed one holds a lock on its own file; its next write was cut short.
    (work / path.name.replace("000000", "000007")).write_bytes(
        whole + (whole[:-1] if compression != "none" else b"fo")
    )
    (work / "unlike").write_bytes(b"not ours")
    again = sink_to(out, "x<REV>.log", **settings)
    await again.open()
    moved = next(out.iterdir())
    assert moved.name.startswith("x-000007")
    if compression == "none":
        assert moved.read_bytes() == whole
    else:
        first_piece = {"gzip": gzip.decompress, "zstd": cramjam.zstd.decompress}[compression]
        assert bytes(first_piece(moved.read_bytes())).startswith(b"one\ntwo\nthree\n")
    assert {path.name, "unlike"} <= {each.name for each in work.iterdir()}
    assert not list(work.glob("x-000007*"))
    await killed.close()
    await again.close()


async def test_a_move_that_was_cut_short_is_brought_to_its_end(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    out.mkdir()
    (work / "x-000000.log").write_bytes(b"once\n")
    os.link(work / "x-000000.log", out / "x-000000.log")
    sink = sink_to(out, "x<REV>.log", work_folder=str(work))
    await sink.open()
    await sink.close()
    assert b"".join(contents(out).values()) == b"once\n"
    assert contents(work) == {}


async def test_nothing_is_written_behind_a_torn_piece_of_a_compressed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = sink_to(tmp_path, "x<REV>.log", compression="gzip")
    await sink.open()
    assert await ship(sink, b"one") is CONFIRMED
    real_write = os.write

    def write(fd: int, data: bytes) -> int:
        if len(data) < 10 or not bytes(data).startswith(b"\x1f\x8b"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real_write(fd, bytes(data)[: len(data) - 5])

    def truncate(fd: int, length: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", write)
        broken.setattr(os, "ftruncate", truncate)
        assert (await ship(sink, b"two")).fate is Fate.RETRY
    assert await ship(sink, b"two", b"three") is CONFIRMED
    await sink.close()
    assert gzip.decompress((tmp_path / "x-000001.log.gz").read_bytes()) == b"two\nthree\n"


async def test_a_work_file_that_somebody_writes_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / "x-000000.log").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b"being written")
        other.flush()
        sink = sink_to(tmp_path, "x<REV>.log", work_folder=str(tmp_path / "work"))
        await sink.open()
        await ship(sink, b"mine")
        await sink.close()
        assert contents(tmp_path) == {"work/x-000000.log": b"being written", "x-000001.log": b"mine\n"}


async def test_batches_that_wait_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real_fsync = os.fsync
    sink = FileSettings(path=f"{tmp_path}/x.log", sync_interval=5.0).make(2)
    await sink.open()
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real_fsync(fd)))
    outcomes = await asyncio.gather(ship(sink, b"one"), ship(sink, b"two"))
    assert outcomes == [CONFIRMED] * 2
    assert len(synced) == 1
    await sink.close()


@pytest.mark.parametrize("work_folder", [None, "work"])
async def test_a_program_hears_of_each_finished_file(tmp_path: Path, work_folder: str | None) -> None:
    out, heard = tmp_path / "out", tmp_path / "heard"
    out.mkdir()
    settings: dict[str, Any] = {}
    if work_folder is not None:
        (tmp_path / work_folder).mkdir()
        settings["work_folder"] = str(tmp_path / work_folder)
    hook = ("/bin/sh", "-c", f'wc -l < "$1" >> {heard}; echo "$1" >> {heard}', "hook")
    sink = sink_to(out, "x<REV>.log", rotate_size=10, finished_hook=hook, **settings)
    await sink.open()
    assert await ship(sink, b"aaaa", b"bbbb", b"cccc", b"dddd") is CONFIRMED
    await eventually_async(lambda: heard.exists() and heard.read_text().endswith("log\n"))
    assert heard.read_text().split() == ["3", f"{out}/x-000000.log"]
    await sink.close()
    # Without a work folder the last file may be continued by the next gateway.
    assert len(heard.read_text().split()) == (2 if work_folder is None else 4)


async def test_a_program_that_fails_is_told_and_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook = ("/bin/sh", "-c", "echo no luck >&2; exit 3")
    sink = sink_to(tmp_path, "x<REV>.log", rotate_size=1, finished_hook=hook)
    await sink.open()
    assert await ship(sink, b"aaaa", b"bbbb") is CONFIRMED
    await sink.close()
    assert "/bin/sh ended with 3 for" in caplog.text
    assert "no luck" in caplog.text
    sink = sink_to(tmp_path, "y<REV>.log", rotate_size=1, finished_hook=("/nowhere",))
    await sink.open()
    assert await ship(sink, b"aaaa", b"bbbb") is CONFIRMED
    await sink.close()
    assert "/nowhere cannot be run for" in caplog.text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"path": "x.log", "compression": "gzip"},
            r"path = 'x.log' has no <REV>, which compression = 'gzip'",
        ),
        ({"path": "x.log", "rotate_size": "1MB"}, "has no <REV>, which rotate_size needs"),
        ({"path": "x.log", "rotate_interval": "1h"}, "has no <REV>, which rotate_interval needs"),
        ({"path": "x.log", "work_folder": "w"}, "has no <REV>, which work_folder needs"),
        ({"path": "x<REV>", "compression": "gzip", "level": 12}, "level = 12 is too high for gzip"),
        ({"path": "../x", "folder": "/tmp"}, "leads out of folder = '/tmp'"),
        ({"path": "{nothing}"}, "nothing"),
    ],
)
def test_settings_that_would_lose_files_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        FileSettings(**settings)
