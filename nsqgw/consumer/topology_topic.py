"""The feed that comes over an NSQ topic, where nsqlookupd or `nsqgw topology` publishes what changes."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from nsqgw.consumer.consumer import Consumer
from nsqgw.errors import DiscoveryError
from nsqgw.lookup.feed import Announcements
from nsqgw.message import Message
from nsqgw.topology.events import Snapshot, Unknown, decode

logger = logging.getLogger(__name__)

_SOURCES = 16
"""Sequences followed at once: one for each nsqlookupd that publishes, and a few that ended."""


class TopologyTopic(Announcements):
    """A feed for `topology_feed` of consumers and producers; an async context manager.

    It consumes `topic` by `channel`, by default an ephemeral one of its own; `options` are those of Consumer,
    such as `lookupd_http_addresses`. What was published before it came it does not know: whoever follows it
    needs the polls of nsqlookupd beside it. A message that is no event is logged and finished.
    """

    def __init__(self, topic: str, channel: str | None = None, **options: Any) -> None:
        super().__init__()
        channel = channel or f"topology-{secrets.token_hex(8)}#ephemeral"
        self._consumer = Consumer(topic, channel, self._take, **options)
        self._epochs: list[str] = []

    async def start(self) -> None:
        """Begin to consume; returns at once."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Stop consuming; nothing is called back afterwards."""
        await self._consumer.stop()

    async def wait_connected(self, timeout: float | None = None) -> None:
        """As that of Consumer."""
        await self._consumer.wait_connected(timeout)

    async def __aenter__(self) -> TopologyTopic:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _take(self, message: Message) -> None:
        try:
            event = decode(message.body)
        except DiscoveryError as error:
            logger.warning("topic %s: %s", self._consumer.topic, error)
            return
        self._follow_epoch(event.epoch)
        if isinstance(event.what, Snapshot):
            self.reset(event.epoch, event.what.cluster)
        elif not isinstance(event.what, Unknown):
            self.happened(event.epoch, [event.what])

    def _follow_epoch(self, epoch: str) -> None:
        if epoch not in self._epochs:
            self._epochs.append(epoch)
            if len(self._epochs) > _SOURCES:
                self.forget(self._epochs.pop(0))
