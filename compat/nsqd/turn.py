"""What is to be done at the end of a loop turn: topics with messages to pass on, channels to hand out from.

Everything that arrived in one turn of the event loop is handled together, so each consumer gets it in as few
writes as possible. Who had something to do may be left with time-outs, deferrals or a disk that was full,
and is looked at in each scan until nothing is left; thousands of idle channels cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from compat.nsqd.channel import Channel
from compat.nsqd.topic import Topic


class Turn:
    """Collects who was woken. `schedule` has `run` called once, after the present turn."""

    def __init__(self, schedule: Callable[[Callable[[], None]], object], clock: Callable[[], float]) -> None:
        self._schedule = schedule
        self._clock = clock
        self._scheduled = False
        self._topics: dict[Topic, None] = {}
        self._channels: dict[Channel, None] = {}
        self._watched_topics: dict[Topic, None] = {}
        self._watched_channels: dict[Channel, None] = {}

    def wake_topic(self, topic: Topic) -> None:
        """`topic` may have something to pump."""
        self._topics[topic] = None
        self._ensure_scheduled()

    def wake_channel(self, channel: Channel) -> None:
        """`channel` may have something to hand out."""
        self._channels[channel] = None
        self._ensure_scheduled()

    def run(self) -> None:
        """Do what was collected: topics first, since they feed channels. Who wakes meanwhile is next."""
        self._scheduled = False
        now = self._clock()
        topics, self._topics = self._topics, {}
        self._watched_topics.update(topics)
        for topic in topics:
            topic.pump(now)
        channels, self._channels = self._channels, {}
        self._watched_channels.update(channels)
        for channel in channels:
            channel.hand_out(now)

    def scan(self) -> None:
        """Put back what timed out, and what was deferred and is due; try again what could not be done."""
        now = self._clock()
        self._watched_topics = {topic: None for topic in self._watched_topics if topic.scan()}
        self._watched_channels = {each: None for each in self._watched_channels if each.scan(now)}

    def _ensure_scheduled(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self.run)
