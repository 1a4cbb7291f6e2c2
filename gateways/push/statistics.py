"""What a gateway is doing, at one moment and since its start: for /stats, which `nsqgw push top` shows.

Several processes have one each; `joined` makes one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from gateways.push.channel import Channel
from gateways.push.context import Context
from gateways.push.session import Session

MAX_CHANNELS = 1000
"""Channels that are told one by one, those with the most followers first."""

Statistics = Mapping[str, Any]


def statistics(context: Context, *, name: str | None = None) -> dict[str, Any]:
    """As JSON: connections by kind, and each channel, or the one called `name`."""
    kinds: dict[str, Counter[str]] = {}
    waiting: Counter[str] = Counter()
    connections: Counter[str] = Counter()
    for connection in context.connections:
        if not isinstance(connection, Session):
            connections["head"] += 1
            continue
        connections[connection.kind] += 1
        for channel in connection.topics:
            kinds.setdefault(channel, Counter())[connection.kind] += 1
            waiting[channel] += connection.waiting_bytes
    channels = context.hub.channels.values()
    chosen = [each for each in channels if name in (None, each.name)]
    most = sorted(chosen, key=lambda each: (-len(each.audience), each.name))[:MAX_CHANNELS]
    return {
        "processes": 1,
        "connections": dict(connections),
        "channels_known": len(channels),
        "lost": {topic: context.lost[topic] for topic in context.hub.topics},
        "channels": [_channel(each, kinds.get(each.name, Counter()), waiting[each.name]) for each in most],
    }


def joined(parts: Iterable[Statistics]) -> dict[str, Any]:
    """One for all: numbers are summed; a channel's history is that of the process that keeps most of it."""
    whole: dict[str, Any] = {
        "processes": 0,
        "connections": Counter(),
        "channels_known": 0,
        "lost": Counter(),
        "channels": {},
    }
    for part in parts:
        whole["processes"] += part["processes"]
        whole["channels_known"] = max(whole["channels_known"], part["channels_known"])
        whole["connections"].update(part["connections"])
        whole["lost"].update(part["lost"])
        for channel in part["channels"]:
            known = whole["channels"].get(channel["channel"])
            whole["channels"][channel["channel"]] = _together(known, channel) if known else channel
    most = sorted(whole["channels"].values(), key=_by_followers)[:MAX_CHANNELS]
    return {**whole, "channels": most}


def _channel(channel: Channel, kinds: Counter[str], waiting: int) -> dict[str, Any]:
    return {
        "channel": channel.name,
        "topic": channel.topic,
        "subscribers": len(channel.audience),
        "kinds": dict(kinds),
        "messages": channel.messages,
        "deliveries": channel.deliveries,
        "bytes": channel.bytes,
        "history_messages": len(channel.history),
        "history_bytes": channel.history.size,
        "waiting_bytes": waiting,
    }


def _together(one: Statistics, other: Statistics) -> dict[str, Any]:
    """Every process has every message, so messages and history are not summed."""
    summed = ("subscribers", "deliveries", "waiting_bytes")
    greatest = ("messages", "bytes", "history_messages", "history_bytes")
    return {
        **one,
        **{key: one[key] + other[key] for key in summed},
        **{key: max(one[key], other[key]) for key in greatest},
        "kinds": dict(Counter(one["kinds"]) + Counter(other["kinds"])),
    }


def _by_followers(channel: Statistics) -> tuple[int, str]:
    return -channel["subscribers"], channel["channel"]
