"""Lines that repeat: what is written of them, and that each is counted once."""

from __future__ import annotations

import io
import logging

import pytest

from nsqgw.service.log_flood import LINES, MAX_KINDS, WINDOW, Flood, FloodHandler
from nsqgw.service.logs import KeyValueFormatter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def line(text: str, *args: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("nsqgw.test", level, "", 0, text, args, None)


def written(flood: Flood, *records: logging.LogRecord) -> int:
    return sum(flood.lets_pass(record) for record in records)


def test_the_first_lines_of_a_kind_are_written_and_the_others_counted(clock: Clock) -> None:
    flood = Flood(clock)
    assert written(flood, *(line("%s failed: %d", "loki", number) for number in range(LINES + 3))) == LINES
    assert list(flood.told()) == []
    clock.now += WINDOW
    ((record, count),) = flood.told()
    assert (record.getMessage(), count) == (f"loki failed: {LINES + 2}", 3)
    assert flood.lets_pass(line("%s failed: %d", "loki", 0))


def test_other_subjects_texts_and_levels_are_other_kinds(clock: Clock) -> None:
    flood = Flood(clock)
    assert written(flood, *[line("%s failed", "a")] * 9) == LINES
    others = [line("%s failed", "b"), line("%s died", "a"), line("%s failed", "a", level=logging.ERROR)]
    assert written(flood, *others) == 3


def test_what_is_no_warning_is_another_kind_with_every_other_value(clock: Clock) -> None:
    told = [line("connected to %s%s", "nsqd", topic, level=logging.INFO) for topic in range(LINES * 2)]
    assert written(Flood(clock), *told) == LINES * 2


def test_debug_lines_all_come(clock: Clock) -> None:
    assert written(Flood(clock), *[line("x", level=logging.DEBUG)] * 50) == 50


def test_memory_is_bounded_and_what_makes_room_is_told(clock: Clock) -> None:
    flood = Flood(clock)
    written(flood, *[line("first")] * (LINES + 1))
    for number in range(MAX_KINDS):
        flood.lets_pass(line("%s", number))
    ((record, count),) = flood.told()
    assert (record.getMessage(), count) == ("first", 1)


def test_the_count_is_a_field_of_the_line_and_none_is_lost_at_the_end(clock: Clock) -> None:
    stream = io.StringIO()
    handler = FloodHandler(stream, Flood(clock))
    handler.setFormatter(KeyValueFormatter())
    for _ in range(LINES + 2):
        handler.handle(line("%s is down", "sink"))
    clock.now += WINDOW
    handler.handle(line("another"))
    for _ in range(LINES + 1):
        handler.handle(line("%s is down", "sink"))
    handler.close()
    told = [text.partition("msg=")[2] for text in stream.getvalue().splitlines()]
    down = '"sink is down"'
    assert told == [
        *[down] * LINES,
        f"{down} suppressed=2",
        "another",
        *[down] * LINES,
        f"{down} suppressed=1",
    ]


def test_a_stream_that_was_closed_before_is_no_error(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    handler = FloodHandler(stream, Flood(clock))
    for _ in range(LINES + 1):
        handler.handle(line("x"))
    stream.close()
    handler.close()
    assert capsys.readouterr().err == ""
