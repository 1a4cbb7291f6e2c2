"""One channel: who follows it, what is kept of it, and what it has done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from gateways.push.audience import Audience
from gateways.push.history import History
from gateways.service.values import Seconds


@dataclass(frozen=True)
class ChannelLimits:
    """How many channels there may be that routes make.

    max_channels  at a time; messages of others are not kept, and who comes back for them is told of a gap
    idle_timeout  seconds; then one that nobody follows, and of which nothing is kept, goes
    """

    max_channels: Annotated[int, Field(ge=1)] = 10_000
    idle_timeout: Seconds = 300.0


class Channel:
    """A channel of `topic`; times are in seconds."""

    __slots__ = ("audience", "bytes", "deliveries", "history", "messages", "name", "topic", "used_at")

    def __init__(self, name: str, topic: str, history: History, now: float) -> None:
        self.name = name
        self.topic = topic
        self.history = history
        self.audience = Audience()
        self.used_at = now
        """When a message came or a subscriber went."""
        self.messages = 0
        self.bytes = 0
        """Of the bodies of these messages."""
        self.deliveries = 0

    def count(self, messages: int, size: int, deliveries: int) -> None:
        """Messages with bodies of `size` bytes altogether were fanned out."""
        self.messages += messages
        self.bytes += size
        self.deliveries += deliveries

    def is_idle(self, now: float, timeout: float) -> bool:
        """Whether it can go: nobody follows it, nothing is kept, and it was not used for `timeout`."""
        return not len(self.audience) and not len(self.history) and now - self.used_at > timeout
