"""A disk queue's files: format, rolling over, reading on after a clean end and after a crash."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from compat.nsqd import unfinished
from compat.nsqd.backend import BackendFailed
from compat.nsqd.message import Message
from harness.disk import Watched, drain, files, message, messages, open_queue, record, shut, sync, write_queue

DATA_0, META = "t.diskqueue.000000.dat", "t.diskqueue.meta.dat"


def numbered(count: int, size: int = 10) -> list[bytes]:
    return [b"%0*d" % (size, number) for number in range(count)]


def test_what_is_finished_during_a_sync_is_told_by_the_next_one(
    tmp_path: Path, in_flight: dict[bytes, Message]
) -> None:
    queue = open_queue(tmp_path, find=in_flight.get)
    queue.put(messages(b"x"))
    hold(in_flight, *queue.get(1, 100))
    job = queue.sync_job()
    assert job is not None
    in_flight.clear()
    job.sync_data()
    job.store_meta()
    job.close()
    queue.synced(None)
    assert not queue.settled
    assert sync(queue)
    assert queue.settled
    assert not sync(queue)
    shut(queue)


def test_c_nsqd_8_9_files_are_named_and_filled_as_the_originals(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    stored = message(b"body", attempts=3)
    queue.put([stored])
    assert (tmp_path / DATA_0).read_bytes() == record(b"body", 3, stored.id, stored.timestamp)
    assert sync(queue)
    assert (tmp_path / META).read_text() == "1\n0,0\n0,34\n"
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o600"}
    [read] = queue.get(10, 1000)
    assert (read.id, read.timestamp, read.attempts, read.body) == (stored.id, stored.timestamp, 3, b"body")
    sync(queue)
    assert (tmp_path / META).read_text() == "0\n0,34\n0,34\n"
    queue.close()


def test_a_queue_that_was_never_used_leaves_no_file(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    assert not sync(queue)
    queue.empty()
    queue.close()
    assert files(tmp_path) == {}


def test_messages_come_in_order_and_the_depth_follows(tmp_path: Path) -> None:
    queue = open_queue(tmp_path, max_bytes_per_file=10_000)
    bodies = numbered(100)
    queue.put(messages(*bodies[:70]))
    assert (queue.depth, [each.body for each in queue.get(30, 1 << 20)]) == (70, bodies[:30])
    queue.put(messages(*bodies[70:]))
    assert (queue.depth, drain(queue), queue.depth) == (70, bodies[30:], 0)
    assert queue.get(1, 1) == []
    queue.close()


def test_get_ends_with_the_bytes_asked_for(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    queue.put(messages(*numbered(10, size=100)))
    assert len(queue.get(10, 300)) == 3
    assert len(queue.get(10, 1)) == 1
    queue.close()


def test_a_record_larger_than_a_read_is_read(tmp_path: Path) -> None:
    queue = open_queue(tmp_path, max_msg_size=1 << 20)
    bodies = [b"a", b"b" * 600_000, b"c", b"d" * 200_000]
    queue.put(messages(*bodies))
    assert drain(queue) == bodies
    queue.close()


def test_c_nsqd_10_no_file_with_more_than_one_record_exceeds_its_limit(tmp_path: Path) -> None:
    watcher = Watched()
    queue = open_queue(tmp_path, watcher, max_bytes_per_file=100)
    bodies = [b"a" * 20, b"b" * 20, b"c" * 200, b"d", b"e" * 38, b"f"]
    queue.put(messages(*bodies))
    sizes = [files(tmp_path)[f"t.diskqueue.{number:06d}.dat"] for number in range(4)]
    assert sizes == [100, 230, 31 + 68, 31]
    assert watcher.urgent == 1
    assert drain(queue, at_a_time=2) == bodies
    assert watcher.urgent == 4
    sync(queue)
    assert set(files(tmp_path)) == {"t.diskqueue.000003.dat", META}
    queue.close()


def test_a_clean_end_goes_on_where_it_was(tmp_path: Path) -> None:
    bodies = numbered(60)
    for start in range(0, 60, 10):
        queue = open_queue(tmp_path)
        assert queue.depth == start // 2
        queue.put(messages(*bodies[start : start + 10]))
        assert [each.body for each in queue.get(5, 1 << 20)] == bodies[start // 2 : start // 2 + 5]
        shut(queue)
    assert drain(open_queue(tmp_path)) == bodies[30:]


@pytest.mark.parametrize("synced_at", [0, 3, 7, 10])
def test_after_a_crash_all_that_was_written_is_read_from_where_the_meta_says(
    tmp_path: Path, synced_at: int
) -> None:
    queue = open_queue(tmp_path, max_bytes_per_file=130)
    bodies = numbered(20)
    for number, body in enumerate(bodies):
        if number == synced_at:
            sync(queue)
        queue.put(messages(body))
    queue.get(4, 1 << 20)
    queue.close()
    again = open_queue(tmp_path, max_bytes_per_file=130)
    assert again.depth == 20
    again.put(messages(b"new"))
    assert drain(again) == [*bodies, b"new"]
    again.close()


def test_a_drained_queue_starts_again_at_the_same_place(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    queue.put(messages(*numbered(10)))
    drain(queue)
    shut(queue)
    queue = open_queue(tmp_path)
    assert queue.depth == 0
    queue.put(messages(b"more"))
    assert set(files(tmp_path)) == {DATA_0, META}
    assert drain(queue) == [b"more"]
    queue.close()


def test_empty_removes_the_files_and_goes_on_with_the_next_number(tmp_path: Path) -> None:
    queue = open_queue(tmp_path, max_bytes_per_file=100)
    queue.put(messages(*numbered(10)))
    sync(queue)
    queue.get(3, 1 << 20)
    queue.empty()
    assert (queue.depth, files(tmp_path)) == (0, {})
    queue.put(messages(b"new"))
    assert set(files(tmp_path)) == {"t.diskqueue.000005.dat"}
    shut(queue)
    assert drain(open_queue(tmp_path)) == [b"new"]


def test_a_sync_under_way_does_not_bring_back_what_was_deleted(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    queue.put(messages(b"a"))
    job = queue.sync_job()
    assert job is not None
    job.sync_data()
    queue.delete()
    job.store_meta()
    job.close()
    queue.synced(None)
    queue.put(messages(b"late"))
    assert (sync(queue), files(tmp_path)) == (False, {})


@pytest.fixture
def in_flight() -> dict[bytes, Message]:
    return {}


def hold(in_flight: dict[bytes, Message], *held: Message) -> None:
    in_flight.update({each.id: each for each in held})


def test_what_is_in_flight_is_read_again_after_a_crash(
    tmp_path: Path, in_flight: dict[bytes, Message]
) -> None:
    queue = open_queue(tmp_path, max_bytes_per_file=130, find=in_flight.get)
    queue.put(messages(*numbered(10)))
    read = queue.get(10, 1 << 20) + queue.get(10, 1 << 20) + queue.get(10, 1 << 20)
    assert len(read) == 9
    hold(in_flight, *read[2:5], *read[6:])
    sync(queue)
    again = open_queue(tmp_path)
    assert again.depth == 8
    assert drain(again) == numbered(10)[2:]
    again.close()
    in_flight.clear()
    sync(queue)
    assert queue.settled
    assert set(files(tmp_path)) == {"t.diskqueue.000003.dat", META}
    queue.close()


def test_what_was_requeued_counts_from_its_new_place(tmp_path: Path, in_flight: dict[bytes, Message]) -> None:
    queue = open_queue(tmp_path, find=in_flight.get)
    queue.put(messages(b"a", b"b"))
    queue.put(queue.get(1, 1))
    hold(in_flight, *queue.get(2, 1000))
    sync(queue)
    assert (tmp_path / META).read_text() == "2\n0,31\n0,93\n"
    queue.close()


def test_one_message_that_stays_does_not_bring_back_all_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_flight: dict[bytes, Message]
) -> None:
    monkeypatch.setattr(unfinished, "LAG", 10)
    queue = open_queue(tmp_path, max_bytes_per_file=10_000, find=in_flight.get)
    queue.put(messages(b"stays", b"stays, too", *numbered(40)))
    stay, stay_too = queue.get(2, 1 << 20)
    hold(in_flight, stay, stay_too)
    queue.get(8, 1 << 20)
    sync(queue)
    assert (tmp_path / META).read_text().startswith("42\n0,0\n")
    queue.get(3, 1 << 20)
    sync(queue)
    assert (tmp_path / META).read_text().startswith(f"29\n0,{35 + 40 + 11 * 40}\n")
    apart = tmp_path / "t.diskqueue.unfinished.dat"
    assert apart.read_bytes() == b"".join(
        record(each.body, 0, each.id, each.timestamp) for each in (stay, stay_too)
    )
    again = open_queue(tmp_path, max_bytes_per_file=10_000)
    assert drain(again) == [*numbered(40)[11:], b"stays", b"stays, too"]
    shut(again)
    assert not apart.exists()


def test_a_sync_under_way_does_not_bring_back_what_was_stored_apart(
    tmp_path: Path, in_flight: dict[bytes, Message]
) -> None:
    queue = open_queue(tmp_path, find=in_flight.get)
    deferred = message(b"deferred")
    hold(in_flight, deferred)
    queue.keep(deferred)
    job = queue.sync_job()
    assert job is not None
    job.sync_data()
    queue.empty()
    job.store_meta()
    job.close()
    queue.synced(None)
    assert files(tmp_path) == {}
    queue.close()


def test_what_was_stored_apart_goes_when_all_of_it_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_flight: dict[bytes, Message]
) -> None:
    monkeypatch.setattr(unfinished, "LAG", 0)
    queue = open_queue(tmp_path, find=in_flight.get)
    queue.put(messages(b"one", b"two"))
    hold(in_flight, *queue.get(2, 1 << 20))
    sync(queue)
    apart = tmp_path / "t.diskqueue.unfinished.dat"
    written = apart.stat()
    in_flight.popitem()
    assert (sync(queue), apart.stat().st_ino, queue.settled) == (False, written.st_ino, False)
    in_flight.clear()
    assert (sync(queue), apart.exists(), queue.settled) == (True, False, True)
    queue.close()


def test_a_deferred_message_that_is_kept_comes_back_after_a_crash(
    tmp_path: Path, in_flight: dict[bytes, Message]
) -> None:
    queue = open_queue(tmp_path, find=in_flight.get)
    for body in (b"one", b"two"):
        deferred = message(body)
        hold(in_flight, deferred)
        queue.keep(deferred)
        sync(queue)
    apart = tmp_path / "t.diskqueue.unfinished.dat"
    apart.write_bytes(apart.read_bytes() + record(b"cut short")[:-1])
    again = open_queue(tmp_path)
    assert drain(again) == [b"one", b"two"]
    again.close()
    in_flight.clear()
    sync(queue)
    assert not apart.exists()
    queue.close()


def test_what_is_stored_apart_does_not_grow_with_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_flight: dict[bytes, Message]
) -> None:
    monkeypatch.setattr(unfinished, "LAG", 10)
    queue = open_queue(tmp_path, find=in_flight.get)
    apart = tmp_path / "t.diskqueue.unfinished.dat"
    for number in range(100):
        deferred = message(b"%02d" % number)
        hold(in_flight, deferred)
        queue.keep(deferred)
        sync(queue)
        assert apart.stat().st_size <= 11 * 32
        if number >= 3:
            in_flight.pop(next(iter(in_flight)))
    again = open_queue(tmp_path)
    assert {b"97", b"98", b"99"} <= set(drain(again))
    again.close()
    queue.close()


@pytest.mark.parametrize("written", [0, 50])
def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    watcher = Watched()
    queue = open_queue(tmp_path, watcher, max_bytes_per_file=130)
    queue.put(messages(b"before"))
    whole, calls = os.pwrite, []

    def full(fd: int, data: bytes, offset: int) -> int:
        calls.append(offset)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(fd, bytes(data)[:written] if len(calls) == 2 and written else data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(BackendFailed, match=r"write .*\.dat: No space left on device"):
        queue.put(messages(*numbered(10)))
    monkeypatch.undo()
    assert (queue.depth, files(tmp_path)[DATA_0]) == (1, 36)
    assert watcher.reasons[-1].endswith("No space left on device")
    queue.put(messages(b"after"))
    assert watcher.reasons[-1] == ""
    shut(queue)
    assert drain(open_queue(tmp_path)) == [b"before", b"after"]


def test_a_failed_sync_is_done_again(tmp_path: Path) -> None:
    queue = open_queue(tmp_path, max_bytes_per_file=70)
    queue.put(messages(*numbered(4, size=1)))
    queue.get(3, 1000)
    job = queue.sync_job()
    assert job is not None
    job.close()
    queue.synced(OSError(errno.EIO, "Input/output error"))
    assert sync(queue)
    assert set(files(tmp_path)) == {"t.diskqueue.000001.dat", META}
    queue.close()


def test_shortage_of_descriptors_spoils_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = open_queue(tmp_path)
    queue.put(messages(b"a"))

    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", none_left)
        assert (queue.get(1, 1), queue.depth) == ([], 1)
    assert drain(queue) == [b"a"]
    queue.close()


def test_what_the_original_leaves_after_a_kill_is_taken(tmp_path: Path) -> None:
    write_queue(tmp_path, {3: [record(b"old"), record(b"a"), record(b"b")]}, "1\n3,33\n3,64\n")
    queue = open_queue(tmp_path)
    assert queue.depth == 2
    queue.put(messages(b"new"))
    assert set(files(tmp_path)) == {"t.diskqueue.000003.dat", "t.diskqueue.000004.dat", META}
    assert drain(queue) == [b"a", b"b", b"new"]
    queue.close()
