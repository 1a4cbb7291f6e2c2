"""A journal of topology events published to an NSQ topic: one message an event, a snapshot first.

What nsqd has not confirmed is published again; what waits is what the journal holds. When that overflows
while no nsqd can be reached, the number of events dropped is logged, and a snapshot takes their place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from nsqgw.config import ProducerConfig
from nsqgw.errors import MessageTooBig, NSQError
from nsqgw.lookup.feed_journal import JournalFeed
from nsqgw.producer import Producer
from nsqgw.protocol.names import check_topic
from nsqgw.topology.events import Snapshot
from nsqgw.topology.journal import Entry, Journal
from nsqgw.topology.reader import JournalReader

logger = logging.getLogger(__name__)

_KEY = b"topology"
"""One key for all: they go to the same nsqd while it lives, and keep their order there."""
_RETRY_PAUSE = 1.0
_IDLE = 3600.0
_STOP_TIMEOUT = 1.0


class TopologyPublisher:
    """Publishes `journal` to `topic`, on one of `nsqds`; without those, on one that the journal tells of.

    `lookupds` are asked for nsqds, too, should one be found again that was away for long.
    """

    def __init__(
        self, journal: Journal, topic: str, nsqds: Iterable[str] = (), lookupds: Iterable[str] = ()
    ) -> None:
        self.topic = check_topic(topic)
        self._journal = journal
        self._nsqds = tuple(nsqds)
        self._lookupds = tuple(lookupds)
        self._task: asyncio.Task[None] | None = None
        self.published = 0
        """Events that nsqd has confirmed, snapshots included."""
        self.dropped = 0
        """Events never published, because they were too old by the time an nsqd could be reached."""

    def start(self) -> None:
        """Begin to publish. Needs a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop at once; what nsqd has not confirmed may or may not be published."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        feed = JournalFeed(self._journal)
        producer = Producer(
            self._nsqds,
            lookupd_http_addresses=self._lookupds,
            topology_feed=None if self._nsqds else feed,
            config=ProducerConfig(publish_timeout=5.0),
        )
        await producer.start()
        try:
            with JournalReader(self._journal) as reader:
                while True:
                    await self._publish_next(producer, reader)
        finally:
            feed.close()
            await producer.stop(_STOP_TIMEOUT)

    async def _publish_next(self, producer: Producer, reader: JournalReader) -> None:
        place, missed = reader.position, reader.missed
        entries = await reader.read(_IDLE)
        if reader.missed > missed:
            self.dropped += reader.missed - missed
            logger.warning(
                "topology topic %s: %d events dropped, no nsqd took them in time; a snapshot follows",
                self.topic,
                reader.missed - missed,
            )
        for entry in entries:
            try:
                await self._publish(producer, entry)
            except NSQError as error:
                logger.warning("topology topic %s: %s; trying again", self.topic, error)
                reader.position = place
                await asyncio.sleep(_RETRY_PAUSE)
                return
            place = entry.event.position

    async def _publish(self, producer: Producer, entry: Entry) -> None:
        try:
            await producer.publish(self.topic, entry.data, key=_KEY)
        except MessageTooBig as error:
            what = "snapshot" if isinstance(entry.event.what, Snapshot) else "event"
            logger.error("topology topic %s: left out a %s: %s", self.topic, what, error)
        else:
            self.published += 1
