"""The figures of consumers and producers, described once for every system that collects metrics.

They are read from `Consumer.stats` and `Producer.stats` when somebody collects; a client does nothing for
them. Collecting may happen on any thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from nsqgw.consumer import Consumer, ConsumerStats
from nsqgw.producer import ProducerStats

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Figure(Generic[S]):
    """One figure: its dotted name, what it counts, whether it only grows, and where it stands."""

    name: str
    unit: str
    text: str
    cumulative: bool
    read: Callable[[S], int]


def _rdy(stats: ConsumerStats) -> int:
    return sum(connection.rdy for connection in stats.connections)


RECEIVED: Figure[ConsumerStats] = Figure(
    "messages.received", "message", "Messages nsqd delivered.", True, lambda stats: stats.received
)
CONSUMER_FIGURES: tuple[Figure[ConsumerStats], ...] = (
    RECEIVED,
    Figure("messages.finished", "message", "Messages finished.", True, lambda stats: stats.finished),
    Figure(
        "messages.requeued", "message", "Messages given back to nsqd.", True, lambda stats: stats.requeued
    ),
    Figure(
        "messages.in_flight", "message", "Messages not answered yet.", False, lambda stats: stats.in_flight
    ),
    Figure("rdy", "message", "Messages nsqd may have in flight to us.", False, _rdy),
    Figure("connections", "connection", "Subscriptions.", False, lambda stats: len(stats.connections)),
)

PUBLISHED: Figure[ProducerStats] = Figure(
    "messages.published", "message", "Messages nsqd confirmed.", True, lambda stats: stats.published
)
FAILED: Figure[ProducerStats] = Figure(
    "messages.failed", "message", "Messages whose publish failed.", True, lambda stats: stats.failed
)
PRODUCER_FIGURES: tuple[Figure[ProducerStats], ...] = (
    PUBLISHED,
    FAILED,
    Figure(
        "messages.outstanding",
        "message",
        "Messages not confirmed yet.",
        False,
        lambda stats: stats.outstanding,
    ),
    Figure("connections", "connection", "Connections to nsqds.", False, lambda stats: len(stats.connected)),
)


class Publishing(Protocol):
    """A `Producer` or a `BlockingProducer`."""

    @property
    def stats(self) -> ProducerStats: ...


class Clients:
    """Consumers and producers whose figures are collected together.

    Those of consumers with the same topic and channel are summed up, and those of all producers. A client
    stays, and its totals with it, when it is stopped.
    """

    def __init__(self, *clients: Consumer | Publishing) -> None:
        self._consumers: tuple[Consumer, ...] = ()
        self._producers: tuple[Publishing, ...] = ()
        self.add(*clients)

    def add(self, *clients: Consumer | Publishing) -> None:
        """Collect the figures of these, too."""
        for client in clients:
            if isinstance(client, Consumer):
                self._consumers += (client,)
            else:
                self._producers += (client,)

    def consumers(self) -> Mapping[tuple[str, str], Sequence[ConsumerStats]]:
        """How consumers stand, by topic and channel."""
        stats: defaultdict[tuple[str, str], list[ConsumerStats]] = defaultdict(list)
        for consumer in self._consumers:
            stats[consumer.topic, consumer.channel].append(consumer.stats)
        return stats

    def producers(self) -> Sequence[ProducerStats]:
        """How producers stand."""
        return [producer.stats for producer in self._producers]


def total(figure: Figure[S], stats: Sequence[S]) -> int:
    """The figure over several clients."""
    return sum(map(figure.read, stats))
