"""The spool under crashes at any point: what was appended before comes, in order, at least once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nsqgw.log_handler.spool import Spool
from nsqgw.log_handler.spool_slot import record_size

LARGE = 1 << 30

bodies = st.lists(st.binary(min_size=1, max_size=60), max_size=8)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), bodies),
        st.tuples(st.just("deliver"), st.integers(1, 6)),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=25,
)


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="spool-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def drain(spool: Spool) -> list[bytes]:
    got: list[bytes] = []
    while batch := spool.peek(3, LARGE):
        got += batch
        spool.done(batch)
    return got


@given(steps, st.integers(40, 4000))
def test_it_is_a_queue_over_restarts(script: list[tuple[str, object]], max_bytes: int) -> None:
    with folder() as path:
        spool = Spool(path, max_bytes)
        model: list[bytes] = []
        for what, argument in script:
            if what == "append":
                assert isinstance(argument, list)
                model += argument[: spool.append(argument)]
            elif what == "deliver":
                assert isinstance(argument, int)
                batch = spool.peek(argument, LARGE)
                assert batch == model[: len(batch)]
                assert bool(batch) == bool(model)
                assert spool.done(batch) == len(batch)
                del model[: len(batch)]
            else:
                spool.close()
                spool = Spool(path, max_bytes)
            assert spool.size <= max_bytes
        assert drain(spool) == model
        spool.close()


@given(st.lists(bodies, min_size=1, max_size=6), st.integers(0, 10), st.data())
def test_a_crash_loses_at_most_the_record_being_written(
    appended: list[list[bytes]], delivered: int, data: st.DataObject
) -> None:
    """A crash is a copy of the files with the newest cut anywhere; the position may be cut, too."""
    with folder() as path:
        spool = Spool(path / "live", 16 * 80)
        everything: list[bytes] = []
        for batch in appended:
            everything += batch[: spool.append(batch)]
        confirmed = spool.peek(delivered, LARGE) if delivered else []
        spool.done(confirmed)
        shutil.copytree(path / "live", path / "crashed")
        spool.close()

        end = len(everything)
        if segments := sorted((path / "crashed" / "0").glob("*.spool")):
            size = segments[-1].stat().st_size
            kept = data.draw(st.integers(0, size), label="bytes kept of the newest segment")
            os.truncate(segments[-1], kept)
            while size > kept:
                end -= 1
                size -= record_size(everything[end])
        position = path / "crashed" / "0" / "position"
        whole_position = data.draw(st.booleans(), label="position whole")
        if not whole_position:
            os.truncate(position, data.draw(st.integers(0, max(0, position.stat().st_size - 1))))

        spool = Spool(path / "crashed", 16 * 80)
        spool.append([b"after"])
        got = drain(spool)
        spool.close()

    assert got.pop() == b"after"
    begin = max(0, end - len(got))
    assert got == everything[begin:end]
    assert begin <= len(confirmed)
    if whole_position:
        assert begin == min(len(confirmed), end)
