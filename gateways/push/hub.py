"""Topics and who listens to them: gives every burst of messages to every subscriber.

Subscribers of a topic are grouped by encoding, so a burst is encoded and joined once a group and the same
bytes object goes to all of it. The fan-out is a generator that pauses between slices of subscribers: the
caller lets the event loop serve everybody else there. A subscriber takes what it is offered at once or
queues it; nothing in here waits for a browser.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from gateways.push.frame import Burst, Encoding
from gateways.push.history import History, HistoryLimits, Replay

SLICE = 256
"""Subscribers served in a row; a thousand writes of 200 bytes take about eight milliseconds."""


class Subscriber(Protocol):
    """Where a browser's messages go."""

    encoding: Encoding

    def offer(self, data: bytes, burst: Burst) -> None:
        """Write or queue `data`, which is `burst` in this subscriber's encoding; never blocks or raises."""
        ...


class Hub:
    """The topics of a gateway, their subscribers and histories; `clock` is the event loop's."""

    def __init__(
        self,
        topics: Iterable[str],
        clock: Callable[[], float] = lambda: 0.0,
        history: HistoryLimits | None = None,
    ) -> None:
        self._audiences: dict[str, dict[Encoding, set[Subscriber]]] = {topic: {} for topic in topics}
        self._clock = clock
        epoch = secrets.token_hex(6)
        self._histories = {
            topic: History(topic, epoch, history or HistoryLimits()) for topic in self._audiences
        }
        self.messages = dict.fromkeys(self._audiences, 0)
        """Messages fanned out, by topic."""
        self.deliveries = dict.fromkeys(self._audiences, 0)
        """Messages handed to subscribers, by topic: one message to ten browsers counts ten."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics browsers may ask for."""
        return tuple(self._audiences)

    def subscribers(self, topic: str) -> int:
        """How many listen to `topic`."""
        return sum(len(group) for group in self._audiences[topic].values())

    def subscribe(self, topic: str, subscriber: Subscriber, since: str | None = None) -> Replay:
        """From the next burst on, `subscriber` gets the messages of `topic`; KeyError if it is unknown.

        What it gets before is the replay: with `since`, everything after that position.
        """
        self._audiences[topic].setdefault(subscriber.encoding, set()).add(subscriber)
        return self.missed(topic, since)

    def missed(self, topic: str, since: str | None) -> Replay:
        """What was fanned out after `since`; nothing for None."""
        history = self._histories[topic]
        if since is None:
            return Replay((), False, history.position)
        return history.since(since, self._clock())

    def unsubscribe(self, topic: str, subscriber: Subscriber) -> None:
        """Forget `subscriber`; it may be unknown."""
        self._audiences[topic].get(subscriber.encoding, set()).discard(subscriber)

    def fan_out(self, topic: str, bodies: Iterable[bytes]) -> Iterator[None]:
        """Hand `bodies` to every subscriber of `topic`; yields between slices of subscribers.

        When it is exhausted, every subscriber has written or queued the messages. Run one fan-out of a
        topic at a time, so that its order is kept.
        """
        burst = Burst(topic, self._histories[topic].append(bodies, self._clock()))
        count = len(burst.frames)
        # a copy, because subscribers come and go while we pause: those who come find the burst in the
        # history, and one that left ignores the offer
        groups = [(encoding, tuple(group)) for encoding, group in self._audiences[topic].items() if group]
        for encoding, subscribers in groups:
            for start in range(0, len(subscribers), SLICE):
                if start:
                    yield
                data = burst.encoded(encoding)
                for subscriber in subscribers[start : start + SLICE]:
                    subscriber.offer(data, burst)
            self.deliveries[topic] += count * len(subscribers)
        self.messages[topic] += count
