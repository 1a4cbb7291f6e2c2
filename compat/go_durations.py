"""Durations as Go prints them (`1h2m3.5s`, `250ms`): in log lines and in nsqd's text statistics."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Seconds as Go prints them: `1m0s`, `1.5s`, `250ms`, `12.5µs`, `0s`."""
    nanoseconds = round(abs(seconds) * 1e9)
    if nanoseconds == 0:
        return "0s"
    sign = "-" if seconds < 0 else ""
    for limit, unit, size in ((1000, "ns", 1), (10**6, "µs", 1000), (10**9, "ms", 10**6)):
        if nanoseconds < limit:
            return f"{sign}{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 10**9)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return sign + text


def _decimal(count: int, size: int) -> str:
    """count / size without rounding and without trailing zeros; `size` is a power of ten."""
    whole, rest = divmod(count, size)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(size)) - 1}d}".rstrip("0")
