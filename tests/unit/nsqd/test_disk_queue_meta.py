"""What a disk queue makes of its meta file, and of data files that say otherwise."""

from __future__ import annotations

import pytest

from compat.nsqd.disk_queue_meta import FRESH, Meta, Position, Recovery, parse_meta, recover


def test_c_nsqd_9_three_lines_and_back() -> None:
    meta = Meta(12, Position(3, 456), Position(7, 8))
    assert meta.encode() == b"12\n3,456\n7,8\n"
    assert parse_meta(meta.encode()) == meta


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"1\n",
        b"1\n0,0\n",
        b"1\n0,0\n0,",
        b"x\n0,0\n0,34\n",
        b"1\n0,0\n0,34\nmore\n",
        b"1\n0,-1\n0,34\n",
        b"1\n0 0\n0 34\n",
        b"1\n1,0\n0,34\n",
        b"1\n0,35\n0,34\n",
        b"1\n0,0\n0," + b"9" * 40 + b"\n",
        bytes(20),
        b"\xff" * 20,
    ],
)
def test_what_makes_no_sense_is_no_meta(content: bytes) -> None:
    assert parse_meta(content) is None


def test_the_last_line_end_may_be_missing_and_depth_may_be_negative() -> None:
    assert parse_meta(b"-1\n0,0\n0,34") == Meta(-1, Position(0, 0), Position(0, 34))


WRITTEN = Meta(5, Position(2, 10), Position(4, 100))


@pytest.mark.parametrize(
    ("meta", "sizes", "position", "uncounted"),
    [
        pytest.param(WRITTEN, {2: 90, 3: 80, 4: 100}, None, None, id="as it was left"),
        pytest.param(Meta(0, Position(4, 0), Position(4, 0)), {}, None, None, id="rolled over and read"),
        pytest.param(WRITTEN, {2: 90, 3: 80, 4: 130}, (5, 0), (4, 100), id="written on"),
        pytest.param(WRITTEN, {2: 90, 3: 80, 4: 100, 5: 7, 6: 1}, (7, 0), (4, 100), id="rolled over since"),
        pytest.param(WRITTEN, {2: 90, 3: 80, 4: 60}, (5, 0), (4, 100), id="cut short"),
        pytest.param(WRITTEN, {2: 90, 3: 80}, (5, 0), (4, 100), id="write file missing"),
        pytest.param(WRITTEN, {4: 100}, None, None, id="read files missing"),
        pytest.param(WRITTEN, {}, (5, 0), (4, 100), id="all missing"),
        pytest.param(None, {3: 5, 4: 100}, (5, 0), (3, 0), id="no meta"),
    ],
)
def test_files_that_disagree_with_the_meta_are_never_written_to(
    meta: Meta | None,
    sizes: dict[int, int],
    position: tuple[int, int] | None,
    uncounted: tuple[int, int] | None,
) -> None:
    recovery = recover(meta, sizes)
    assert (recovery.reason != "") == (position is not None)
    assert recovery.uncounted == uncounted
    if position is not None:
        assert recovery.meta.write == position
        assert recovery.meta.read == (meta.read if meta is not None else uncounted)


def test_nothing_there_is_a_new_queue() -> None:
    assert recover(None, {}) == Recovery(FRESH)
