"""The table of `nsqgw push top`, and the statistics of several processes as one."""

from __future__ import annotations

from typing import Any

from gateways.cli.push_table import summary, table
from gateways.push.statistics import joined


def channel(name: str, **figures: Any) -> dict[str, Any]:
    zero = dict.fromkeys(("messages", "bytes", "deliveries", "history_messages", "history_bytes"), 0)
    kinds = {"sse": figures.get("subscribers", 0)}
    return {
        "channel": name,
        "topic": name,
        "kinds": kinds,
        "subscribers": 0,
        "waiting_bytes": 0,
        **zero,
        **figures,
    }


def stats(*channels: dict[str, Any], lost: int = 0) -> dict[str, Any]:
    return {
        "processes": 1,
        "connections": {"sse": 2},
        "channels_known": len(channels),
        "lost": {"a": lost},
        "channels": list(channels),
    }


def test_rates_are_those_between_two_looks() -> None:
    before = stats(channel("a", messages=10, bytes=1000, deliveries=50))
    now = stats(channel("a", messages=30, bytes=5000, deliveries=90, subscribers=2, waiting_bytes=1500))
    head, row = table(before, now, 2.0, 10).splitlines()
    assert head.split() == ["CHANNEL", "BROWSERS", "MSGS/S", "BYTES/S", "DELIVERIES/S", "HISTORY", "WAITING"]
    assert row.split() == ["a", "2", "10", "2.0", "kB", "20", "0", "1.5", "kB"]


def test_a_gateway_that_began_anew_has_the_rates_of_its_life() -> None:
    row = table(stats(channel("a", messages=100)), stats(channel("a", messages=4)), 2.0, 10).splitlines()[1]
    assert row.split()[2] == "2"


def test_processes_are_one_gateway() -> None:
    one = stats(channel("a", messages=10, deliveries=20, subscribers=2), lost=1)
    other = stats(channel("b", subscribers=5), channel("a", messages=9, deliveries=9, subscribers=1), lost=2)
    whole = joined([one, other])
    assert [(each["channel"], each["subscribers"]) for each in whole["channels"]] == [("b", 5), ("a", 3)]
    a = whole["channels"][1]
    assert (a["messages"], a["deliveries"], a["kinds"]) == (10, 29, {"sse": 3})
    assert summary(whole) == ("processes 2, channels 2, connections: sse 4, messages lost to slow browsers 3")
