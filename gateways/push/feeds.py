"""The feeds of a gateway, one a topic: begun, replaced while browsers stay, and stopped together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from gateways.push.config import PushConfig
from gateways.push.context import Context
from gateways.push.continuity import Continuity
from gateways.push.feed import Feed
from gateways.push.outlet import Outlet
from gateways.push.shared.follower import Follower
from gateways.reach import Reach
from nsqgw import Consumer
from nsqgw.deadline import within
from nsqgw.errors import NotConnected
from nsqgw.instrument import Fact

logger = logging.getLogger(__name__)

# Parts of the time for the drain: until messages in hand go back to nsqd, until a feed is given up.
_CONSUMERS_PART, _PART = 0.3, 0.4

# Of messages that the shared history does not take: they are live, and a consumer's own minutes too long.
_REQUEUE_DELAY, _LONGEST_PAUSE = 1.0, 10.0


class Feeds:
    """What brings the topics of `config` from `channel` of NSQ to `outlet`.

    With a shared history `follower` is told when messages may have been lost, else the hub of `context`.
    """

    def __init__(
        self,
        config: PushConfig,
        channel: str,
        context: Context,
        outlet: Outlet,
        follower: Follower | None = None,
    ) -> None:
        self._config = config
        self._channel = channel
        self._context = context
        self._outlet = outlet
        self._follower = follower
        self._reach = Reach(config.nsqd_tcp_addresses, config.lookupd_http_addresses)
        self._feeds: dict[str, Feed] = {}
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Begin, and wait until an nsqd is connected; NotConnected when none is in time."""
        for topic in self._context.hub.topics:
            await self._start(topic)
        consumers = [feed.consumer for feed in self._feeds.values()]
        await self._reach.wait(consumers, self._config.connect_timeout)

    async def stop(self) -> None:
        """Leave NSQ; what is on its way has a part of the time for the drain to get there."""
        await asyncio.gather(*(self._stop(feed) for feed in self._feeds.values()))

    async def wait_closed(self) -> None:
        """Until a feed ends, which it does before `stop` and a change only by raising."""
        while True:
            self._changed.clear()
            feeds = list(self._feeds.values())
            ends = [asyncio.create_task(feed.wait_closed()) for feed in feeds]
            changed = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait([*ends, changed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (*ends, changed):
                    task.cancel()
                await asyncio.gather(*ends, changed, return_exceptions=True)
            for feed, task in zip(feeds, ends, strict=True):
                if not task.cancelled() and (task.exception() or feed in self._feeds.values()):
                    task.result()
                    return

    async def end_others(self, config: PushConfig) -> None:
        """Stop the feeds of topics that `config` does not have."""
        for topic in [topic for topic in self._feeds if topic not in config.topics]:
            feed = self._feeds.pop(topic)
            self._changed.set()
            await self._stop(feed)

    async def renew(self, config: PushConfig) -> None:
        """Begin the feeds that are new in `config`, and replace those that it changes."""
        before, self._config = self._config, config
        self._reach = Reach(config.nsqd_tcp_addresses, config.lookupd_http_addresses)
        for topic in config.topics:
            if topic not in self._feeds:
                await self._start(topic)
            elif config.feeding(topic) != before.feeding(topic):
                old = self._feeds[topic]
                await self._start(topic)
                await self._take_over(self._feeds[topic], old)

    @property
    def connections(self) -> dict[str, int]:
        """To how many nsqds each topic is connected."""
        return {topic: feed.connections for topic, feed in self._feeds.items()}

    def starved(self) -> str | None:
        """Which topics have no nsqd, and why; None when all have one."""
        lost = [feed.consumer for feed in self._feeds.values() if not feed.connections]
        if not lost:
            return None
        topics = ", ".join(consumer.topic for consumer in lost)
        return f"no connection to nsqd for {topics}: {self._reach.why_starved(lost)}"

    async def _start(self, topic: str) -> None:
        hub, rate = self._context.hub, self._context.policy_of(topic).rate
        consumer = self._consumer(topic, partial(hub.tear, topic))
        window, max_age = self._config.window, self._config.max_age
        feed = Feed(consumer, hub, self._outlet, window=window, rate=rate, max_age=max_age)
        self._feeds[topic] = feed
        await feed.start()
        self._changed.set()

    async def _take_over(self, new: Feed, old: Feed) -> None:
        """Stop `old` once `new` is connected, so that an ephemeral channel is never without us."""
        try:
            await new.consumer.wait_connected(self._config.connect_timeout)
        except NotConnected as error:
            logger.warning("topic %s: going on to wait: %s", new.consumer.topic, error)
        await self._stop(old)

    async def _stop(self, feed: Feed) -> None:
        topic, drain_time = feed.consumer.topic, self._config.drain_time
        try:
            await within(drain_time * _PART, feed.stop(drain_time * _CONSUMERS_PART))
        except asyncio.TimeoutError:
            logger.warning("topic %s: the feed did not stop within %gs", topic, drain_time * _PART)
        except Exception:  # one feed's mistake must not keep the others from being stopped
            logger.exception("topic %s: the feed did not stop in order", topic)

    def _consumer(self, topic: str, torn: Callable[[], None]) -> Consumer:
        follower = self._follower
        continuity = Continuity(torn if follower is None else follower.tear, shared=follower is not None)

        def note(fact: Fact) -> None:
            self._reach.note(fact)
            continuity.note(fact)

        return Consumer(
            topic,
            self._channel,
            nsqd_tcp_addresses=self._config.nsqd_tcp_addresses,
            lookupd_http_addresses=self._config.lookupd_http_addresses,
            on_fact=note,
            max_in_flight=self._config.max_in_flight,
            requeue_delay=_REQUEUE_DELAY,
            max_requeue_delay=_LONGEST_PAUSE,
            max_backoff_duration=_LONGEST_PAUSE,
            **self._config.access.options(),
        )
