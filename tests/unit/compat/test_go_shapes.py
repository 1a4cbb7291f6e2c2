"""Durations and log lines in the shape Go programs give them."""

from __future__ import annotations

import logging
import re

import pytest

from compat.go_durations import format_duration
from compat.go_logs import GoFormatter


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (1e-9, "1ns"),
        (12.5e-6, "12.5µs"),
        (0.25, "250ms"),
        (1.0, "1s"),
        (90.5, "1m30.5s"),
        (3600.0, "1h0m0s"),
        (3661.25, "1h1m1.25s"),
        (-1.5, "-1.5s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("level", "word"), [(logging.INFO, "INFO"), (logging.WARNING, "WARNING"), (logging.CRITICAL, "FATAL")]
)
def test_log_lines(level: int, word: str) -> None:
    record = logging.LogRecord("compat.nsqd", level, __file__, 1, "TCP: listening on %s", ("x:1",), None)
    line = GoFormatter("[nsqd] ").format(record)
    moment = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6}"
    assert re.fullmatch(rf"\[nsqd\] {moment} {word}: TCP: listening on x:1", line)
