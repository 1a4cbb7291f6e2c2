"""The table of `nsqgw push top`: pure, from two looks at /stats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateways.cli.columns import byte_count, in_columns

Stats = Mapping[str, Any]
"""As gateways.push.statistics tells it."""

_HEAD = ("CHANNEL", "BROWSERS", "MSGS/S", "BYTES/S", "DELIVERIES/S", "HISTORY", "WAITING")


def table(before: Stats, now: Stats, seconds: float, most: int) -> str:
    """The channels with the most browsers; rates over the `seconds` between the two looks."""
    earlier = {each["channel"]: each for each in before["channels"]}
    rows = [_row(earlier.get(each["channel"], {}), each, seconds) for each in now["channels"][:most]]
    return in_columns([_HEAD, *rows], words=1)


def summary(now: Stats) -> str:
    """One line for the whole gateway."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(now["connections"].items()) if count)
    lost = sum(now["lost"].values())
    return (
        f"processes {now['processes']}, channels {now['channels_known']}, connections: {kinds or 'none'}, "
        f"messages lost to slow browsers {lost}"
    )


def _row(past: Stats, now: Stats, seconds: float) -> tuple[str, ...]:
    def rate(key: str) -> float:
        more = now[key] - past.get(key, 0)
        return float(more if more >= 0 else now[key]) / seconds  # less than before: it began anew

    return (
        now["channel"],
        str(now["subscribers"]),
        f"{rate('messages'):.0f}",
        byte_count(rate("bytes")),
        f"{rate('deliveries'):.0f}",
        str(now["history_messages"]),
        byte_count(now["waiting_bytes"]),
    )
