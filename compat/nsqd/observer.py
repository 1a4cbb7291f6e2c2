"""The seam between the broker and whoever follows its topics and channels, as nsqlookupd's peers do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class TopicObserver(Protocol):
    """Told of topics and channels as they come and go, ephemeral ones included; the calls return at once."""

    def topic_created(self, topic: str) -> None:
        """The topic exists from now on."""

    def topic_deleted(self, topic: str) -> None:
        """The topic is gone; `channel_deleted` was called for each of its channels before."""

    def channel_created(self, topic: str, channel: str) -> None:
        """The channel exists from now on."""

    def channel_deleted(self, topic: str, channel: str) -> None:
        """The channel is gone."""

    async def channels_of(self, topic: str) -> Collection[str]:
        """The channels the topic should have before its first message moves (nsqd-tcp section 14).

        It bounds its own waiting and returns what it could learn.
        """


class LookupPeers:
    """Stand-in until the module lookup_peers is there: no nsqlookupd at all."""

    def __init__(self, nsqd: object, addresses: tuple[str, ...]) -> None:
        self.addresses = addresses

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def set_addresses(self, addresses: tuple[str, ...]) -> None:
        self.addresses = addresses

    def topic_created(self, topic: str) -> None: ...

    def topic_deleted(self, topic: str) -> None: ...

    def channel_created(self, topic: str, channel: str) -> None: ...

    def channel_deleted(self, topic: str, channel: str) -> None: ...

    async def channels_of(self, topic: str) -> Collection[str]:
        return ()
