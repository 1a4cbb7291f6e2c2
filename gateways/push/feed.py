"""One topic on its way from NSQ to the hub.

A message is finished when every subscriber has written or queued it, never when browsers have it: a slow
browser costs NSQ nothing. Whatever has arrived meanwhile leaves as one burst, so the busier the gateway,
the fewer writes a message.
"""

from __future__ import annotations

import asyncio
import logging

from gateways.push.hub import Hub
from nsqgw import Consumer

logger = logging.getLogger(__name__)

BURST_MESSAGES = 1000
BURST_BYTES = 262_144


class Feed:
    """Gives what `consumer` brings to the subscribers of its topic."""

    def __init__(self, consumer: Consumer, hub: Hub) -> None:
        self.consumer = consumer
        self._hub = hub
        self._pump: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect and to stream."""
        await self.consumer.start()
        self._pump = asyncio.create_task(self._stream())

    async def stop(self, timeout: float) -> None:
        """Leave NSQ, with `timeout` seconds for what is on its way to the hub to get there."""
        try:
            await self.consumer.stop(timeout)
            if self._pump is not None:
                await asyncio.wait({self._pump})  # what broke it, if anything did, was told by wait_closed
        finally:
            if self._pump is not None:
                self._pump.cancel()
                await asyncio.wait({self._pump})

    async def wait_closed(self) -> None:
        """Until the feed has stopped; raises what broke it."""
        assert self._pump is not None, "not started"
        await asyncio.shield(self._pump)

    @property
    def connections(self) -> int:
        """How many nsqds it is connected to."""
        return len(self.consumer.stats.connections)

    async def _stream(self) -> None:
        topic = self.consumer.topic
        bursts = self.consumer.batches(max_messages=BURST_MESSAGES, max_bytes=BURST_BYTES, max_wait=0.0)
        async for burst in bursts:
            for _ in self._hub.fan_out(topic, [message.body for message in burst]):
                await asyncio.sleep(0)
            if not burst.finish():
                logger.warning(
                    "topic %s: a lost connection's messages come again, browsers see them twice", topic
                )
