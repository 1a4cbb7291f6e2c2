"""`/channels-stats`, in the module's words: of the gateway, of some channels, or of one."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from gateways.push.hub import Hub
from gateways.push.push_stream.paths import NO_CHANNEL, Refused

Document = dict[str, object]


class Statistics:
    """What may be known of the channels `visible` names; `wall` is the wall clock."""

    def __init__(self, hub: Hub, wall: Callable[[], float] = time.time) -> None:
        self._hub = hub
        self._wall = wall
        self._began = wall()

    def all(self, visible: Collection[str]) -> Document:
        """Of the gateway."""
        figures = [self.channel(name) for name in visible]
        subscribers = _sum(figures, "subscribers")
        worker: Document = {"pid": str(os.getpid()), "subscribers": subscribers, "uptime": self._uptime}
        return {
            **self._head(len(visible)),
            "published_messages": _sum(figures, "published_messages"),
            "stored_messages": _sum(figures, "stored_messages"),
            "messages_in_trash": 0,
            "channels_in_delete": 0,
            "channels_in_trash": 0,
            "subscribers": subscribers,
            "uptime": self._uptime,
            "by_worker": [worker],
        }

    def group(self, names: Iterable[str], channels: int) -> Document:
        """Of several channels, of `channels` in all."""
        infos = [self.channel(name) for name in names]
        return {**self._head(channels), "uptime": self._uptime, "infos": infos}

    def channel(self, name: str) -> Document:
        """Of one."""
        channel = self._hub.channels[name]
        return {
            "channel": name,
            "published_messages": channel.messages,
            "stored_messages": len(channel.history),
            "subscribers": len(channel.audience),
        }

    def asked(self, asked: str | None, visible: Collection[str]) -> Document | None:
        """What `?id=` asks for; None for a channel that there is not."""
        if asked is None:
            return self.all(visible)
        if not asked.strip("/"):
            raise Refused(*NO_CHANNEL)
        if asked == "ALL":
            return self.group(visible, len(visible))
        if "/" not in asked and not asked.endswith("*"):
            return self.channel(asked) if asked in visible else None
        names = [name for part in asked.split("/") for name in _matching(part, visible)]
        return self.group(dict.fromkeys(names), len(visible))

    @property
    def _uptime(self) -> int:
        return int(self._wall() - self._began)

    def _head(self, channels: int) -> Document:
        now = datetime.fromtimestamp(self._wall()).strftime("%Y-%m-%dT%H:%M:%S")
        return {"hostname": socket.gethostname(), "time": now, "channels": channels, "wildcard_channels": 0}


def _matching(part: str, visible: Collection[str]) -> list[str]:
    if part.endswith("*"):
        return [name for name in visible if name.startswith(part[:-1])]
    return [part] if part in visible else []


def _sum(figures: Iterable[Mapping[str, object]], name: str) -> int:
    return sum(int(str(figure[name])) for figure in figures)
