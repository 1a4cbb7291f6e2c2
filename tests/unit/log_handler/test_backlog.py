"""The backlog: memory, then spool; order, bounds, drops that are told where records are missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nsqgw.log_handler.backlog import Backlog
from nsqgw.log_handler.spool import Spool

LARGE = 1 << 30
COST = 128 + 4
"""What a record of four bytes takes in memory."""


def body(number: int) -> bytes:
    return b"%04d" % number


def bodies(start: int, stop: int) -> list[bytes]:
    return [body(number) for number in range(start, stop)]


def told(count: int) -> bytes:
    return b"-%03d" % count


def backlog_of(records: int, spool: Spool | None = None) -> Backlog:
    """With room for so many records of four bytes in memory."""
    return Backlog(records * COST, told, spool, clock=lambda: 5.0)


def fill(backlog: Backlog, start: int, stop: int) -> None:
    for number in range(start, stop):
        backlog.add(body(number))


def drain(backlog: Backlog, at_once: int = 3) -> list[bytes]:
    got: list[bytes] = []
    while batch := backlog.peek(at_once, LARGE):
        got += batch
        backlog.done(batch)
        backlog.spool_all()
    return got


def test_memory_is_bounded_and_the_gap_is_told_in_its_place() -> None:
    backlog = backlog_of(10)
    fill(backlog, 0, 25)
    assert (backlog.count, backlog.dropped) == (10, 15)
    backlog.done(backlog.peek(8, LARGE))
    fill(backlog, 25, 27)
    assert drain(backlog) == [*bodies(8, 10), told(15), *bodies(25, 27)]
    assert (backlog.confirmed, backlog.dropped) == (13, 15)


def test_with_a_spool_nothing_is_dropped_and_the_order_is_kept(spool_of: Callable[[int], Spool]) -> None:
    backlog = backlog_of(10, spool_of(100_000))
    for start in range(0, 50, 5):
        fill(backlog, start, start + 5)
        if backlog.half_full:
            backlog.spool_all()
    fill(backlog, 50, 53)
    assert (backlog.dropped, backlog.count) == (0, 3)
    assert drain(backlog) == bodies(0, 53)


def test_a_batch_that_was_spooled_while_it_was_under_way_is_done_once(
    spool_of: Callable[[int], Spool],
) -> None:
    backlog = backlog_of(20, spool_of(100_000))
    fill(backlog, 0, 10)
    batch = backlog.peek(6, LARGE)
    backlog.spool_all()
    fill(backlog, 10, 12)
    backlog.done(batch)
    assert drain(backlog) == bodies(6, 12)


def test_a_batch_of_which_only_a_part_fitted_the_spool(spool_of: Callable[[int], Spool]) -> None:
    backlog = backlog_of(20, spool_of(4 * 12))
    fill(backlog, 0, 10)
    batch = backlog.peek(6, LARGE)
    backlog.spool_all()
    assert backlog.count == 6
    backlog.done(batch)
    assert (backlog.spooled, backlog.count) == (0, 4)
    assert drain(backlog) == bodies(6, 10)


def test_drops_only_when_the_spool_is_full_too(spool_of: Callable[[int], Spool]) -> None:
    backlog = backlog_of(10, spool_of(20 * 12))
    for number in range(40):
        backlog.add(body(number))
        if backlog.half_full:
            backlog.spool_all()
    assert backlog.dropped == 10
    got = drain(backlog)
    assert got == [*bodies(0, 30), told(10)]


def test_hurry_makes_urgent_what_is_there_and_no_more() -> None:
    backlog = backlog_of(10)
    fill(backlog, 0, 2)
    assert not backlog.waiting().urgent
    mark = backlog.hurry()
    assert backlog.waiting().urgent
    assert not backlog.wait_left(mark, 0.0)
    fill(backlog, 2, 3)
    backlog.done(backlog.peek(2, LARGE))
    assert backlog.wait_left(mark, 0.0)
    waiting = backlog.waiting()
    assert (waiting.count, waiting.since, waiting.urgent) == (1, 5.0, False)


def test_what_is_in_the_spool_goes_at_once(spool_of: Callable[[int], Spool]) -> None:
    backlog = backlog_of(10, spool_of(1000))
    fill(backlog, 0, 1)
    backlog.spool_all()
    waiting = backlog.waiting()
    assert (waiting.count, waiting.urgent) == (0, True)


def test_closing_saves_the_rest_and_the_count_of_drops(spool_of: Callable[[int], Spool]) -> None:
    backlog = backlog_of(3, spool_of(3 * 12))
    fill(backlog, 0, 5)
    backlog.close()
    assert drain(backlog_of(10, spool_of(1000))) == [*bodies(0, 3), told(2)]


def test_closing_without_a_spool_says_what_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    backlog = backlog_of(10)
    fill(backlog, 0, 4)
    backlog.close()
    assert "4 records were not published" in capsys.readouterr().err
    assert (backlog.dropped, backlog.count) == (4, 0)


def test_a_record_nsqd_refuses_is_told() -> None:
    backlog = backlog_of(10)
    fill(backlog, 0, 2)
    backlog.refused(body(0))
    assert drain(backlog) == [body(1), told(1)]


def test_a_spool_that_fails_is_told_once_and_tried_again(
    spool_of: Callable[[int], Spool], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = spool_of(1000)
    backlog = backlog_of(10, spool)

    def full(_bodies: object) -> int:
        raise OSError(28, "No space left on device")

    fill(backlog, 0, 4)
    with monkeypatch.context() as patch:
        patch.setattr(spool, "append", full)
        backlog.spool_all()
        backlog.spool_all()
    assert capsys.readouterr().err.count("the spool cannot be used") == 1
    assert backlog.count == 4
    backlog.spool_all()
    assert backlog.count == 0
    assert drain(backlog) == bodies(0, 4)
