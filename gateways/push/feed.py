"""One topic on its way from NSQ to an outlet: the hub, or the shared history.

A message is finished when the outlet has taken it: when every subscriber has written or queued it, never
when browsers have it, so that a slow browser costs NSQ nothing; or when it is in the shared history. What
the outlet does not take goes back to nsqd, which gets time by backoff. Whatever has
arrived meanwhile, or in a window of some milliseconds, leaves as one burst a channel, so the busier the
gateway, the fewer writes a message. Of a sampled topic only the newest message of each interval and channel
goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Mapping, Sequence

from gateways.push.entry import Entry
from gateways.push.hub import Hub
from gateways.push.outlet import NotTaken, Outlet
from nsqgw import Batch, Consumer
from nsqgw.deadline import within

logger = logging.getLogger(__name__)

BURST_MESSAGES = 1000
BURST_BYTES = 262_144


class Feed:
    """Gives what `consumer` brings to `outlet`, by channel, gathered for `window` seconds.

    With a finite `rate`, so many messages a second at most go on, in each channel. Messages that were
    published more than `max_age` seconds ago are finished, counted, and reported to `hub` as lost.
    """

    def __init__(
        self,
        consumer: Consumer,
        hub: Hub,
        outlet: Outlet,
        *,
        window: float = 0.0,
        rate: float = math.inf,
        max_age: float = math.inf,
    ) -> None:
        self.consumer = consumer
        self._hub = hub
        self._outlet = outlet
        self._window = window
        self._rate = rate
        self._max_age = max_age
        self._refused = False
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
            if not await self._pass_on(burst):
                burst.requeue()
            elif not burst.finish():
                logger.info(
                    "topic %s: a lost connection's messages come again, and are known then",
                    self.consumer.topic,
                )

    async def _sample(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await within(1 / self._rate, ended.wait())
            newest, self._newest = self._newest, {}
            if not await self._put({channel: [entry] for channel, entry in newest.items()}):
                self._newest = newest | self._newest

    async def _pass_on(self, burst: Batch) -> bool:
        """Whether the messages may be finished."""
        topic = self.consumer.topic
        entries = self._young([Entry(message.body, message.timestamp, message.id) for message in burst])
        routed = self._hub.routing.channels_of(topic, self._outlet.unknown(topic, entries))
        if math.isinf(self._rate):
            return await self._put(routed)
        self._newest.update((channel, own[-1]) for channel, own in routed.items())
        return True

    def _young(self, entries: list[Entry]) -> list[Entry]:
        if math.isinf(self._max_age):
            return entries
        oldest = time.time_ns() - int(self._max_age * 1e9)
        young = [entry for entry in entries if entry.timestamp >= oldest]
        if len(young) < len(entries):
            self._hub.expired[self.consumer.topic] += len(entries) - len(young)
            self._hub.tear(self.consumer.topic)
        return young

    async def _put(self, routed: Mapping[str, Sequence[Entry]]) -> bool:
        try:
            await self._outlet.put(routed)
        except NotTaken as error:
            if not self._refused:
                logger.warning("topic %s: messages go back to nsqd: %s", self.consumer.topic, error)
            self._refused = True
            return False
        if self._refused:
            logger.info("topic %s: messages are taken again", self.consumer.topic)
            self._refused = False
        return True
