"""Channels and who follows them: gives every burst of messages to every subscriber.

A channel is a topic, or what a route makes of a topic's messages: then it comes with its first message or
subscriber, and goes when it has had neither for a while and nothing of it is kept. Subscribers are grouped
(see audience), and the fan-out is a generator that pauses between slices of them: the caller lets the event
loop serve everybody else there. A subscriber takes what it is offered at once or queues it; nothing in here
waits for a browser.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from gateways.push.audience import Audience, Group, Subscriber, hand_out, wanted_frames
from gateways.push.channel import Channel, ChannelLimits
from gateways.push.entry import Entry
from gateways.push.filter import Filter
from gateways.push.frame import Burst, Frame
from gateways.push.history import History, HistoryLimits, Numbering, Replay
from gateways.push.pattern import PATTERN_END, prefix_of
from gateways.push.position import Position, parse_position, time_key
from gateways.push.routing import Routing

logger = logging.getLogger(__name__)

SWEPT = 100
"""Channels looked at in one sweep."""


class NoRoom(Exception):
    """There are as many channels as there may be."""


class Hub:
    """The channels of a gateway; `clock` is the event loop's, in seconds, `wall` in nanoseconds."""

    def __init__(
        self,
        routing: Routing | Iterable[str],
        clock: Callable[[], float] = lambda: 0.0,
        history: HistoryLimits | None = None,
        limits: ChannelLimits | None = None,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self.routing = routing if isinstance(routing, Routing) else Routing(routing)
        self._clock = clock
        self._wall = wall
        self._history = history or HistoryLimits()
        self._limits = limits or ChannelLimits()
        self._began = wall()
        """Until when, by the wall clock, messages may be missing in a channel that is made now."""
        self._forgotten = 0
        """The highest number of a message that no history knows of."""
        self.numbering = Numbering()
        self._channels: dict[str, Channel] = {}
        self._patterns: dict[str, Audience] = {}
        self._sweep: Iterator[str] = iter(())
        for topic in self.routing.fixed:
            self._add(topic, topic)
        self.messages = Counter(dict.fromkeys(self.routing.topics, 0))
        """Messages fanned out, by topic."""
        self.deliveries = Counter(dict.fromkeys(self.routing.topics, 0))
        """Messages handed to subscribers, by topic: one message to ten browsers counts ten."""
        self.crowded_out = Counter(dict.fromkeys(self.routing.topics, 0))
        """Messages of channels for which there was no room, by topic."""
        self.expired = Counter(dict.fromkeys(self.routing.topics, 0))
        """Messages that were too old to be shown, by topic."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that are streamed."""
        return self.routing.topics

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The channels there are now."""
        return self._channels

    def renew(
        self, routing: Routing, history: HistoryLimits, limits: ChannelLimits
    ) -> list[tuple[str, Subscriber]]:
        """Stream from now on what `routing` says, within these bounds.

        Returns who followed what is not streamed any more, by channel or pattern, for the caller to tell.
        """
        self.routing, self._history, self._limits = routing, history, limits
        gone = [
            (prefix + PATTERN_END, subscriber)
            for prefix, audience in self._patterns.items()
            if not routing.may_begin(prefix)
            for subscriber in audience
        ]
        for channel in tuple(self._channels.values()):
            channel.history.keep(history)
            if routing.topic_of(channel.name) != channel.topic:
                self._remove(channel)
                gone += [(channel.name, subscriber) for subscriber in channel.audience]
        for topic in routing.fixed:
            if topic not in self._channels:
                self._add(topic, topic)
        return gone

    @property
    def patterns(self) -> Mapping[str, Audience]:
        """Who follows all channels that begin with a prefix, by prefix."""
        return self._patterns

    def topic_of(self, channel: str) -> str | None:
        """The topic whose messages go to `channel`; None when it is unknown."""
        known = self._channels.get(channel)
        return known.topic if known is not None else self.routing.topic_of(channel)

    def knows(self, name: str) -> bool:
        """Whether the channel or pattern `name` may be followed."""
        prefix = prefix_of(name)
        if prefix is not None:
            return PATTERN_END not in prefix and self.routing.may_begin(prefix)
        return self.topic_of(name) is not None

    def has_room(self, name: str) -> bool:
        """Whether `name` can be followed now: it is there, or there may be one more."""
        return (
            name in self._channels
            or prefix_of(name) is not None
            or len(self._channels) < self._limits.max_channels
        )

    def subscribers(self, channel: str) -> int:
        """How many follow `channel` by its name."""
        known = self._channels.get(channel)
        return len(known.audience) if known is not None else 0

    def subscribe(
        self, channel: str, subscriber: Subscriber, since: str | None = None, wanted: Filter | None = None
    ) -> Replay:
        """From the next burst on, `subscriber` gets the messages of `channel` that `wanted` lets through.

        What it gets before is the replay: with `since`, everything after that position. KeyError when the
        channel is unknown, NoRoom when it would be new and there are too many.
        """
        found = self._channels.get(channel) or self._new(channel)
        if found.name not in self._channels:
            raise NoRoom(f"there are {len(self._channels)} channels, and may be no more")
        found.audience.add(subscriber, wanted)
        return self.missed(channel, since, wanted)

    def subscribe_pattern(
        self, pattern: str, subscriber: Subscriber, since: Mapping[str, str], wanted: Filter | None = None
    ) -> list[tuple[str, Replay]]:
        """The same for all channels that begin as `pattern` does, those to come with them.

        `since` has positions by channel, and under `pattern` one for all that are not named; the replays are
        those of the channels with something to tell.
        """
        prefix = prefix_of(pattern) or ""
        self._patterns.setdefault(prefix, Audience()).add(subscriber, wanted)
        asked = {name: position for name, position in since.items() if name != pattern}
        if pattern in since:
            asked = dict.fromkeys(self._active_after(since[pattern], prefix), since[pattern]) | asked
        replays = []
        for name, position in asked.items():
            if name.startswith(prefix) and self.knows(name):
                replay = self.missed(name, position, wanted)
                if replay.frames or replay.gap:
                    replays.append((name, replay))
        return replays

    def _active_after(self, since: str, prefix: str) -> Iterator[str]:
        """Channels that begin with `prefix`, without those where surely nothing came after `since`."""
        position = parse_position(since)
        for name, channel in self._channels.items():
            if name.startswith(prefix) and not (position and channel.history.is_up_to(position)):
                yield name

    def unsubscribe(self, name: str, subscriber: Subscriber) -> None:
        """Forget `subscriber` of the channel or pattern; it may be unknown."""
        prefix = prefix_of(name)
        if prefix is not None:
            audience = self._patterns.get(prefix)
            if audience is not None:
                audience.discard(subscriber)
                if not len(audience):
                    del self._patterns[prefix]
        elif (channel := self._channels.get(name)) is not None:
            channel.audience.discard(subscriber)
            channel.used_at = self._clock()

    def missed(self, channel: str, since: str | None, wanted: Filter | None = None) -> Replay:
        """What was fanned out after `since`; nothing for None."""
        found = self._channels.get(channel)
        history = found.history if found is not None else self._new_history()
        if since is None:
            return Replay((), False, history.position, history.position)
        replay = history.since(since, self._clock())
        frames = wanted_frames(replay.frames, wanted)
        for frame in replay.frames:
            frame.entry.forget_document()
        return Replay(frames, replay.gap, replay.position, replay.start)

    @property
    def position(self) -> str:
        """After the newest message of all channels: for those that a follower of a pattern has not met."""
        key = max(self.numbering.newest, time_key(self._began))
        return str(Position(self.numbering.epoch, self.numbering.last, key))

    def fan_out(self, channel: str, entries: Iterable[Entry]) -> Iterator[None]:
        """Hand `entries` to everybody who follows `channel`; yields between slices of subscribers.

        When it is exhausted, every subscriber has written or queued the messages. Run one fan-out of a
        channel at a time, so that its order is kept.
        """
        return self.deliver(channel, [self.numbering.frame(channel, entry) for entry in entries])

    def deliver(self, channel: str, frames: Sequence[Frame]) -> Iterator[None]:
        """The same with frames that are numbered; kept at once, so positions are after them from now on."""
        found = self._channels.get(channel) or self._new_for(frames)
        now, wall = self._clock(), self._wall()
        for frame in frames:
            frame.arrived = max(frame.entry.timestamp, wall)
        found.used_at = now
        found.history.append(frames, now)
        groups = [group for audience in self._following(found) for group in audience.groups()]
        return self._hand_out(found, Burst(channel, frames), groups)

    def _hand_out(self, channel: Channel, burst: Burst, groups: Sequence[Group]) -> Iterator[None]:
        delivered = yield from hand_out(burst, groups)
        channel.count(len(burst.frames), sum(len(frame.body) for frame in burst.frames), delivered)
        self.messages[channel.topic] += len(burst.frames)
        self.deliveries[channel.topic] += delivered
        for frame in burst.frames:
            frame.entry.forget_document()

    def tear(self, topic: str) -> None:
        """Messages of `topic` may have been lost before they came here: who follows its channels is told."""
        if not self.routing.is_fixed(topic):
            self._forget(self.numbering.last + 1, self._wall())
        torn = [channel for channel in self._channels.values() if self.routing.feeds(topic, channel.name)]
        self._tear(torn, self.numbering.skip())

    def tear_all(self) -> None:
        """The same for all channels, those that are not known included."""
        self._forget(self.numbering.last, self._wall())
        self._tear(list(self._channels.values()), self.numbering.last)

    def tear_channel(self, name: str) -> None:
        """The same for one."""
        self._tear([self._channels[name]] if name in self._channels else [], self.numbering.last)

    def begin(self, epoch: str, last: int, lost_until: int) -> None:
        """Go on under another numbering, of which nothing is known until number `lost_until`."""
        self.numbering.epoch, self.numbering.last, self._forgotten = epoch, last, lost_until
        for channel in self._channels.values():
            channel.history.begin(lost_until)

    def keys(self, name: str) -> frozenset[str]:
        """Of the messages kept of a channel."""
        return self._channels[name].history.keys() if name in self._channels else frozenset()

    @property
    def is_followed(self) -> bool:
        """Whether anybody follows anything."""
        return bool(self._patterns) or any(len(channel.audience) for channel in self._channels.values())

    def restore(self, name: str, frames: Sequence[Frame], lost_until: int) -> None:
        """Keep what was fanned out elsewhere, before this process came, of one channel."""
        channel = self._channels.get(name) or self._new(name)
        channel.history.begin(lost_until)
        channel.history.append(frames, self._clock())

    def _tear(self, channels: Sequence[Channel], offset: int) -> None:
        now = self._wall()
        for channel in channels:
            channel.history.tear(offset, now)
            for subscriber in channel.audience:
                subscriber.miss(channel.name)
        for prefix, audience in tuple(self._patterns.items()):
            if any(channel.name.startswith(prefix) for channel in channels) or not channels:
                for subscriber in audience:
                    subscriber.miss(prefix + PATTERN_END)

    def sweep(self) -> None:
        """Look at some channels: let go messages that are too old, and channels nobody needs."""
        now = self._clock()
        for _ in range(min(SWEPT, len(self._channels))):
            name = next(self._sweep, None)
            if name is None:
                self._sweep = iter(tuple(self._channels))
                return
            channel = self._channels.get(name)
            if channel is not None:
                channel.history.expire(now)
                if channel.is_idle(now, self._limits.idle_timeout) and not self.routing.is_fixed(name):
                    self._remove(channel)

    def _following(self, channel: Channel) -> list[Audience]:
        """The audiences that get the messages of `channel`: its own, and those of patterns."""
        name, patterns = channel.name, self._patterns
        if len(patterns) <= len(name):
            found = [audience for prefix, audience in patterns.items() if name.startswith(prefix)]
        else:  # clients make up patterns: what a message costs is not for them to say
            found = [patterns[name[:end]] for end in range(len(name) + 1) if name[:end] in patterns]
        return [channel.audience, *found]

    def _new(self, name: str) -> Channel:
        """The channel `name`, among the others if there is room."""
        topic = self.routing.topic_of(name)
        if topic is None:
            raise KeyError(name)
        if len(self._channels) < self._limits.max_channels:
            return self._add(name, topic)
        return Channel(name, topic, self._new_history(), self._clock())

    def _new_for(self, frames: Sequence[Frame]) -> Channel:
        channel = self._new(frames[0].channel)
        if channel.name not in self._channels:
            if not self.crowded_out[channel.topic]:
                logger.warning(
                    "topic %s: there are %d channels, and may be no more: messages of others are not kept",
                    channel.topic,
                    len(self._channels),
                )
            self.crowded_out[channel.topic] += len(frames)
            self._forget(frames[-1].offset, max(frame.entry.timestamp for frame in frames))
        return channel

    def _add(self, name: str, topic: str) -> Channel:
        self._channels[name] = Channel(name, topic, self._new_history(), self._clock())
        return self._channels[name]

    def _new_history(self) -> History:
        return History(self.numbering, self._history, began=self._began, lost_until=self._forgotten)

    def _remove(self, channel: Channel) -> None:
        del self._channels[channel.name]
        self._forget(*channel.history.gone)

    def _forget(self, offset: int, timestamp: int) -> None:
        """A channel that is made from now on knows nothing of what came until then."""
        self._forgotten = max(self._forgotten, offset)
        self._began = max(self._began, timestamp)
