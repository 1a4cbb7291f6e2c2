"""One topic on its way from NSQ to the hub.

A message is finished when every subscriber has written or queued it, never when browsers have it: a slow
browser costs NSQ nothing. What nsqd delivers again is known by its key, and finished only. Whatever has
arrived meanwhile, or in a window of some milliseconds, leaves as one burst a channel, so the busier the
gateway, the fewer writes a message. Of a sampled topic only the newest message of each interval and channel
goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math

from gateways.push.entry import Entry, Seen
from gateways.push.hub import Hub
from nsqgw import Consumer
from nsqgw.deadline import within

logger = logging.getLogger(__name__)

BURST_MESSAGES = 1000
BURST_BYTES = 262_144


class Feed:
    """Gives what `consumer` brings to the subscribers of its topic, gathered for `window` seconds.

    With a finite `rate`, they get so many messages a second at most.
    """

    def __init__(self, consumer: Consumer, hub: Hub, window: float = 0.0, rate: float = math.inf) -> None:
        self.consumer = consumer
        self._hub = hub
        self._window = window
        self._rate = rate
        self._seen = Seen()
        self._newest: dict[str, Entry] = {}
        """Of a sampled topic, by channel."""
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
        if math.isinf(self._rate):
            await self._consume()
            return
        ended = asyncio.Event()
        sampling = asyncio.create_task(self._sample(ended))
        try:
            await self._consume()
        finally:
            ended.set()
            await sampling

    async def _consume(self) -> None:
        bursts = self.consumer.batches(
            max_messages=BURST_MESSAGES, max_bytes=BURST_BYTES, max_wait=self._window
        )
        async for burst in bursts:
            entries = [Entry(message.body, message.timestamp, message.id) for message in burst]
            news = [entry for entry in entries if self._seen.is_new(entry.key)]
            for channel, own in self._hub.routing.channels_of(self.consumer.topic, news).items():
                if math.isinf(self._rate):
                    await self._fan_out(channel, own)
                else:
                    self._newest[channel] = own[-1]
            if not burst.finish():
                logger.info(
                    "topic %s: a lost connection's messages come again, and are known then",
                    self.consumer.topic,
                )

    async def _sample(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await within(1 / self._rate, ended.wait())
            newest, self._newest = self._newest, {}
            for channel, entry in newest.items():
                await self._fan_out(channel, [entry])

    async def _fan_out(self, channel: str, entries: list[Entry]) -> None:
        for _ in self._hub.fan_out(channel, entries):
            await asyncio.sleep(0)
