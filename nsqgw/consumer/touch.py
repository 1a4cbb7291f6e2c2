"""When an unanswered message needs a TOUCH: pure."""

from __future__ import annotations

from enum import Enum

LAST_TOUCH_MARGIN = 1.0
"""Seconds before nsqd's hard limit at which touching stops: it could not move the deadline any more."""


EXPIRY_MARGIN = 1.0
"""Seconds after nsqd's deadline: its scan for messages that timed out takes its time (nsqd-behaviour 1.2)."""


class Touch(Enum):
    """What to do about messages that are unanswered."""

    NOT_YET = "not yet"
    NOW = "now"
    IN_VAIN = "in vain"


def touch_decision(
    now: float, received_at: float, touched_at: float, msg_timeout: float, max_msg_timeout: float
) -> Touch:
    """NOW when half the time-out has passed since the last touch, IN_VAIN when a touch cannot help any more.

    nsqd moves the deadline to now + msg_timeout, but never beyond delivery + max_msg_timeout
    (nsqd-tcp 8.3). All times in seconds on one clock.
    """
    if now - touched_at < msg_timeout / 2:
        return Touch.NOT_YET
    helps = touched_at + msg_timeout < received_at + max_msg_timeout - LAST_TOUCH_MARGIN
    return Touch.NOW if helps else Touch.IN_VAIN


def has_expired(
    now: float, received_at: float, touched_at: float, msg_timeout: float, max_msg_timeout: float
) -> bool:
    """Whether nsqd has given up waiting for an answer, and a margin has passed for it to notice."""
    return now > min(touched_at + msg_timeout, received_at + max_msg_timeout) + EXPIRY_MARGIN


def touch_interval(msg_timeout: float) -> float:
    """How often to look, so that no half time-out is missed by much, in seconds."""
    return min(max(msg_timeout / 8, 0.05), 5.0)
