"""Who has which topic and channel: the directory itself, without ports and without a clock of its own.

Times are readings of one monotonic clock in seconds, handed in by the caller. What changed is returned as
registrations, so that it can be logged and passed on. State is memory only; nsqds bring it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from nsqgw.protocol.lookup import NodeInfo
from nsqgw.protocol.names import is_ephemeral


class Registration(NamedTuple):
    """What a producer is registered for: category `client`, `topic` or `channel` (nsqlookupd section 1)."""

    category: str
    key: str
    subkey: str


CLIENT = Registration("client", "", "")


@dataclass(eq=False)
class Peer:
    """One nsqd's connection; two connections are two peers, even from the same nsqd."""

    remote_address: str
    node: NodeInfo
    last_update: float

    @property
    def name(self) -> str:
        """How a tombstone names the node: `<broadcast_address>:<http_port>`."""
        return f"{self.node.broadcast_address}:{self.node.http_port}"


@dataclass
class Producer:
    """A peer's entry in one registration."""

    peer: Peer
    tombstoned_at: float | None = None


_Producers = dict[Peer, Producer]


@dataclass
class _Topic:
    producers: _Producers = field(default_factory=dict)
    channels: dict[str, _Producers] = field(default_factory=dict)


class Registry:
    """The registrations; `inactive_producer_timeout` and `tombstone_lifetime` in seconds."""

    def __init__(self, inactive_producer_timeout: float, tombstone_lifetime: float) -> None:
        self._inactive_producer_timeout = inactive_producer_timeout
        self._tombstone_lifetime = tombstone_lifetime
        self._clients: _Producers = {}
        self._topics: dict[str, _Topic] = {}

    # What nsqds do (nsqlookupd section 3)

    def identify(self, remote_address: str, node: NodeInfo, now: float) -> Peer:
        """A connection said who it is."""
        peer = Peer(remote_address, node, now)
        self._clients[peer] = Producer(peer)
        return peer

    def ping(self, peer: Peer, now: float) -> None:
        """The peer is alive."""
        peer.last_update = now

    def register(self, peer: Peer, topic: str, channel: str | None) -> list[Registration]:
        """Enter the peer, for a channel into its topic too; an entry that exists keeps its tombstone."""
        entered = []
        entry = self._topics.setdefault(topic, _Topic())
        if channel is not None and peer not in (producers := entry.channels.setdefault(channel, {})):
            producers[peer] = Producer(peer)
            entered.append(Registration("channel", topic, channel))
        if peer not in entry.producers:
            entry.producers[peer] = Producer(peer)
            entered.append(Registration("topic", topic, ""))
        return entered

    def unregister(self, peer: Peer, topic: str, channel: str | None) -> list[Registration]:
        """Take the peer out of a channel, or of a topic with all its channels.

        An ephemeral name goes with its last producer.
        """
        entry = self._topics.get(topic)
        if entry is None:
            return []
        if channel is None:
            left = _leave(peer, topic, entry)
            if not entry.producers and is_ephemeral(topic):
                del self._topics[topic]
            return left
        producers = entry.channels.get(channel, {})
        left = [Registration("channel", topic, channel)] if producers.pop(peer, None) else []
        if not producers and is_ephemeral(channel):
            entry.channels.pop(channel, None)
        return left

    def disconnect(self, peer: Peer) -> list[Registration]:
        """The peer's connection is gone; empty registrations stay, ephemeral ones too."""
        left = [CLIENT] if self._clients.pop(peer, None) else []
        for topic, entry in self._topics.items():
            left += _leave(peer, topic, entry)
        return left

    # What is done over HTTP (nsqlookupd section 6)

    def create_topic(self, topic: str) -> None:
        """Make the topic known, without producers."""
        self._topics.setdefault(topic, _Topic())

    def create_channel(self, topic: str, channel: str) -> None:
        """Make the channel, and its topic, known."""
        self._topics.setdefault(topic, _Topic()).channels.setdefault(channel, {})

    def delete_topic(self, topic: str) -> None:
        """Forget the topic and its channels; unknown ones are no matter."""
        self._topics.pop(topic, None)

    def delete_channel(self, topic: str, channel: str) -> bool:
        """Forget the channel; False when it is unknown."""
        entry = self._topics.get(topic)
        return entry is not None and entry.channels.pop(channel, None) is not None

    def tombstone(self, topic: str, node: str, now: float) -> None:
        """Hide the node, by its `Peer.name`, from lookups of the topic for the tombstone's lifetime."""
        entry = self._topics.get(topic)
        for producer in entry.producers.values() if entry else ():
            if producer.peer.name == node:
                producer.tombstoned_at = now

    def topics(self) -> list[str]:
        """All topics, those without producers included."""
        return list(self._topics)

    def knows(self, topic: str) -> bool:
        """Whether the topic is registered."""
        return topic in self._topics

    def channels(self, topic: str) -> list[str]:
        """The topic's channels; none for an unknown topic."""
        entry = self._topics.get(topic)
        return list(entry.channels) if entry else []

    def producers(self, topic: str, now: float) -> list[Peer]:
        """Who has the topic: active and without tombstone."""
        entry = self._topics.get(topic)
        return [
            peer
            for peer, producer in (entry.producers if entry else {}).items()
            if self._is_active(peer, now) and not self._is_tombstoned(producer, now)
        ]

    def nodes(self, now: float) -> list[tuple[Peer, dict[str, bool]]]:
        """Active peers, each with its topics and whether it is tombstoned there."""
        topics: dict[Peer, dict[str, bool]] = {
            peer: {} for peer in self._clients if self._is_active(peer, now)
        }
        for topic, entry in self._topics.items():
            for peer, producer in entry.producers.items():
                if peer in topics:
                    topics[peer][topic] = self._is_tombstoned(producer, now)
        return list(topics.items())

    def registrations(self) -> Iterator[tuple[Registration, list[Producer]]]:
        """Everything, as it is kept."""
        yield CLIENT, list(self._clients.values())
        for topic, entry in self._topics.items():
            yield Registration("topic", topic, ""), list(entry.producers.values())
            for channel, producers in entry.channels.items():
                yield Registration("channel", topic, channel), list(producers.values())

    def _is_active(self, peer: Peer, now: float) -> bool:
        return now - peer.last_update <= self._inactive_producer_timeout

    def _is_tombstoned(self, producer: Producer, now: float) -> bool:
        return producer.tombstoned_at is not None and now - producer.tombstoned_at < self._tombstone_lifetime


def _leave(peer: Peer, topic: str, entry: _Topic) -> list[Registration]:
    """Take the peer out of the topic and its channels; what it was registered for."""
    left = [
        Registration("channel", topic, channel)
        for channel, producers in entry.channels.items()
        if producers.pop(peer, None)
    ]
    if entry.producers.pop(peer, None):
        left.append(Registration("topic", topic, ""))
    return left
