"""Damage at every place of a queue's files: no crash, nothing lost that stands before it, and it goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from compat.nsqd.disk_queue_meta import parse_meta
from harness.disk import drain, messages, open_queue, record, shut, write_queue

BODIES = [b"first", b"second message", b"", b"fourth " * 4, b"fifth", b"the last one"]
RECORDS = [record(body, message_id=b"%016d" % number) for number, body in enumerate(BODIES)]
DATA = b"".join(RECORDS)
META = f"{len(BODIES)}\n0,0\n0,{len(DATA)}\n"
ENDS = [len(b"".join(RECORDS[: number + 1])) for number in range(len(RECORDS))]


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Path]:
    """Makes the queue anew, whole."""
    folder = tmp_path / "data"

    def make() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_queue(folder, {0: RECORDS}, META)
        return folder

    return make


def read_and_go_on(folder: Path) -> list[bytes]:
    """What is read of the damaged queue; it must go on with new messages, and over a restart."""
    queue = open_queue(folder)
    found = drain(queue)
    queue.put(messages(b"new", b"newer"))
    assert [each.body for each in queue.get(1, 1)] == [b"new"]
    shut(queue)
    queue = open_queue(folder)
    assert drain(queue) == [b"newer"]
    shut(queue)
    return found


def whole_before(offset: int) -> list[bytes]:
    """The messages that stand whole before the byte at `offset`."""
    return [body for body, end in zip(BODIES, ENDS, strict=True) if end <= offset]


def test_a_data_file_cut_short_anywhere(fresh: Callable[[], Path]) -> None:
    for size in range(len(DATA)):
        folder = fresh()
        (folder / "t.diskqueue.000000.dat").write_bytes(DATA[:size])
        assert read_and_go_on(folder) == whole_before(size)
        bad = (folder / "t.diskqueue.000000.dat.bad").exists()
        assert bad == (size not in (0, *ENDS)), size


@pytest.mark.parametrize("change", [0xFF, 0x01, 0x80])
def test_a_data_file_with_a_wrong_byte_anywhere(fresh: Callable[[], Path], change: int) -> None:
    for offset in range(len(DATA)):
        folder = fresh()
        garbled = bytearray(DATA)
        garbled[offset] ^= change
        (folder / "t.diskqueue.000000.dat").write_bytes(garbled)
        before = whole_before(offset)
        found = read_and_go_on(folder)
        assert found[: len(before)] == before
        in_length = (offset - max([end for end in ENDS if end <= offset], default=0)) < 4
        if not in_length:
            assert len(found) == len(BODIES)


def test_a_data_file_with_zeros_for_an_end(fresh: Callable[[], Path]) -> None:
    """As file systems leave it after a power failure."""
    for offset in range(len(DATA)):
        folder = fresh()
        (folder / "t.diskqueue.000000.dat").write_bytes(DATA[:offset].ljust(len(DATA), b"\0"))
        before = whole_before(offset)
        assert read_and_go_on(folder)[: len(before)] == before


def test_a_meta_file_cut_short_anywhere(fresh: Callable[[], Path]) -> None:
    for size in range(len(META)):
        folder = fresh()
        (folder / "t.diskqueue.meta.dat").write_text(META[:size])
        assert read_and_go_on(folder) == BODIES, META[:size]


def test_a_meta_file_with_a_wrong_byte_anywhere(fresh: Callable[[], Path]) -> None:
    """A wrong digit may point anywhere, and no one can tell; what makes no sense costs no message."""
    for offset in range(len(META)):
        for wrong in b"0159,\n-\x00\xff":
            folder = fresh()
            garbled = bytearray(META.encode())
            garbled[offset] = wrong
            (folder / "t.diskqueue.meta.dat").write_bytes(garbled)
            found = read_and_go_on(folder)
            if parse_meta(bytes(garbled)) is None:
                assert found == BODIES


def test_files_that_are_missing_are_passed_over(tmp_path: Path) -> None:
    data = {number: [record(b"%d" % number)] for number in range(5)}
    write_queue(tmp_path, data, "5\n0,0\n4,31\n")
    for number in (0, 2, 3):
        (tmp_path / f"t.diskqueue.{number:06d}.dat").unlink()
    assert drain(open_queue(tmp_path)) == [b"1", b"4"]


def test_a_meta_that_points_far_away_costs_no_time(tmp_path: Path) -> None:
    write_queue(tmp_path, {0: [record(b"a")]}, f"5\n0,0\n{10**17},0\n")
    assert read_and_go_on(tmp_path) == [b"a"]


@pytest.mark.parametrize("length", [-1, 0, 25, 227, 1 << 20, (1 << 31) - 1])
def test_an_impossible_length_is_damage(tmp_path: Path, length: int) -> None:
    wrong = length.to_bytes(4, "big", signed=True) + record(b"")[4:]
    write_queue(tmp_path, {0: [record(b"a"), wrong, record(b"b")], 1: [record(b"c")]}, "4\n0,0\n1,31\n")
    assert read_and_go_on(tmp_path) == [b"a", b"c"]
    assert (tmp_path / "t.diskqueue.000000.dat.bad").exists()
