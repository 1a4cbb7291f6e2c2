"""Delays of REQ and DPUB: seconds for people, milliseconds on the wire."""

from __future__ import annotations

from nsqgw.errors import ConfigError

MAX_DELAY = 365 * 24 * 3600.0
"""Seconds. nsqd's own limit is an hour unless its `-max-req-timeout` says otherwise."""


def check_delay(delay: float) -> float:
    """`delay` itself, in seconds; ConfigError when it is none."""
    number = isinstance(delay, int | float) and not isinstance(delay, bool)
    if not number or not 0 <= delay <= MAX_DELAY:
        raise ConfigError(f"delay = {delay!r} must be seconds, 0 or more and at most {MAX_DELAY:.0f}")
    return delay


def delay_ms(delay: float) -> int:
    """A delay that was checked, as the wire has it."""
    return round(delay * 1000)
