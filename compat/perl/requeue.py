"""How long a message waits that is given back: the rules of AnyEvent::NSQ, in the units it meant."""

from __future__ import annotations

from nsqgw.protocol.delays import check_delay, delay_ms

_DEFAULT_DELAY = 90.0
"""Seconds for each attempt, where the delay is negative and no `requeue_delay` is given."""


def requeue_delay_ms(delay_in_ms: float | None, attempts: int, requeue_delay: float | None) -> int:
    """What REQ says, in milliseconds.

    A delay that is given is meant in milliseconds. Without one it is `requeue_delay` seconds, or none; a
    negative one stands for `requeue_delay` seconds, or 90, times the attempts so far.
    """
    if delay_in_ms is None:
        seconds = requeue_delay or 0.0
    elif delay_in_ms < 0:
        seconds = (requeue_delay or _DEFAULT_DELAY) * attempts
    else:
        seconds = delay_in_ms / 1000
    return delay_ms(check_delay(seconds))
