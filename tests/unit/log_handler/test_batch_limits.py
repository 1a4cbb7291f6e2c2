"""When a batch of log records is due: by count, bytes and age; the clock is passed in."""

from __future__ import annotations

import math

import pytest

from nsqgw.log_handler.backlog import Waiting
from nsqgw.log_handler.delivery import BatchLimits

LIMITS = BatchLimits(max_messages=10, max_bytes=1000, max_age=0.5)


@pytest.mark.parametrize(
    ("waiting", "pause"),
    [
        (Waiting(0, 0, 0.0, urgent=False), math.inf),
        (Waiting(1, 100, 100.0, urgent=False), 0.5),
        (Waiting(9, 999, 99.75, urgent=False), 0.25),
        (Waiting(1, 100, 99.5, urgent=False), 0.0),
        (Waiting(1, 100, 90.0, urgent=False), 0.0),
        (Waiting(10, 100, 100.0, urgent=False), 0.0),
        (Waiting(1, 1000, 100.0, urgent=False), 0.0),
        (Waiting(1, 100, 100.0, urgent=True), 0.0),
        (Waiting(0, 0, 0.0, urgent=True), 0.0),
    ],
)
def test_whatever_comes_first(waiting: Waiting, pause: float) -> None:
    assert LIMITS.pause(waiting, now=100.0) == pause
