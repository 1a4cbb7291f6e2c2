"""When an unanswered message needs a TOUCH."""

from __future__ import annotations

import pytest

from nsqgw.consumer.touch import Touch, touch_decision, touch_interval


def test_half_the_time_out_must_have_passed() -> None:
    assert touch_decision(29.9, 0.0, 0.0, 60.0, 900.0) is Touch.NOT_YET
    assert touch_decision(30.0, 0.0, 0.0, 60.0, 900.0) is Touch.NOW
    assert touch_decision(59.0, 0.0, 30.0, 60.0, 900.0) is Touch.NOT_YET


def test_it_ends_when_nsqd_would_not_move_the_deadline_any_more() -> None:
    touched, touches = 0.0, 0
    for now in range(1000):
        if touch_decision(now, 0.0, touched, 60.0, 900.0) is Touch.NOW:
            touched, touches = float(now), touches + 1
    assert 840 <= touched <= 900, "the last touch reaches the hard limit"
    assert touches == touched / 30
    assert touch_decision(touched + 30, 0.0, touched, 60.0, 900.0) is Touch.IN_VAIN


@pytest.mark.parametrize("msg_timeout", [1.0, 2.0, 60.0, 900.0])
def test_looking_often_enough_touches_in_time(msg_timeout: float) -> None:
    """However the looks fall, the time-out never passes between two touches."""
    interval = touch_interval(msg_timeout)
    for phase in range(10):
        now, touched = interval * phase / 10, 0.0
        while now < msg_timeout * 3:
            if touch_decision(now, 0.0, touched, msg_timeout, 1e6) is Touch.NOW:
                touched = now
            assert now - touched < msg_timeout
            now += interval


def test_the_interval_is_bounded() -> None:
    assert touch_interval(0.001) == 0.05
    assert touch_interval(86400) == 5.0
