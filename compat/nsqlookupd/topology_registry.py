"""The registry that remembers what was touched, so that news of it costs no look at all the rest.

Events name nodes by the `host:port` clients connect to; a node that has several connections is there as long
as one of them is active, and hidden for a topic when all of those that have the topic are tombstoned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from compat.nsqlookupd.registry import Peer, Producer, Registration, Registry
from nsqgw.protocol.lookup import NodeInfo
from nsqgw.topology.changes import Change, node_address
from nsqgw.topology.cluster import Cluster, Topic, node_changes, topic_changes

_MARGIN = 0.001
"""Seconds behind a deadline after which it has certainly passed."""


class WatchedRegistry(Registry):
    """Calls back, once it is watched, after whatever may change what a cluster looks like."""

    def __init__(self, inactive_producer_timeout: float, tombstone_lifetime: float) -> None:
        super().__init__(inactive_producer_timeout, tombstone_lifetime)
        self._on_touched: Callable[[], None] | None = None
        self._peers: dict[str, list[Peer]] = {}
        self._inactive: set[Peer] = set()
        self._tombstones: deque[tuple[float, str]] = deque()
        self._touched_nodes: set[str] = set()
        self._touched_topics: set[str] = set()

    # What nsqds do

    def identify(self, remote_address: str, node: NodeInfo, now: float) -> Peer:
        peer = super().identify(remote_address, node, now)
        self._peers.setdefault(node_address(node), []).append(peer)
        self._touch(node_address(node))
        return peer

    def ping(self, peer: Peer, now: float) -> None:
        was_active = self._is_active(peer, now)
        super().ping(peer, now)
        if not was_active:
            self._touch_all()

    def register(self, peer: Peer, topic: str, channel: str | None) -> list[Registration]:
        entered = super().register(peer, topic, channel)
        if entered:
            self._touch(None, topic)
        return entered

    def unregister(self, peer: Peer, topic: str, channel: str | None) -> list[Registration]:
        left = super().unregister(peer, topic, channel)
        self._touch(None, topic)
        return left

    def disconnect(self, peer: Peer) -> list[Registration]:
        left = super().disconnect(peer)
        address = node_address(peer.node)
        self._peers[address].remove(peer)
        if not self._peers[address]:
            del self._peers[address]
        self._touch(address, *(registration.key for registration in left if registration.category == "topic"))
        return left

    # What is done over HTTP

    def create_topic(self, topic: str) -> None:
        super().create_topic(topic)
        self._touch(None, topic)

    def create_channel(self, topic: str, channel: str) -> None:
        super().create_channel(topic, channel)
        self._touch(None, topic)

    def delete_topic(self, topic: str) -> None:
        super().delete_topic(topic)
        self._touch(None, topic)

    def delete_channel(self, topic: str, channel: str) -> bool:
        deleted = super().delete_channel(topic, channel)
        self._touch(None, topic)
        return deleted

    def tombstone(self, topic: str, node: str, now: float) -> None:
        super().tombstone(topic, node, now)
        if self._on_touched is not None:
            self._tombstones.append((now + self._tombstone_lifetime + _MARGIN, topic))
        self._touch(None, topic)

    # What is made of it

    def watch(self, on_touched: Callable[[], None], now: float) -> None:
        """Call `on_touched` from now on; it is called at once, everything being news."""
        self._on_touched = on_touched
        stones = ((at, name) for name, topic in self._topics.items() for at in _stones(topic.producers))
        lifetime = self._tombstone_lifetime + _MARGIN
        self._tombstones.extend(sorted((at + lifetime, name) for at, name in stones))
        self.expire(now)
        self._touch_all()

    def expire(self, now: float) -> None:
        """Notice what time alone has changed: tombstones that ended, nodes that fell silent."""
        while self._tombstones and self._tombstones[0][0] <= now:
            self._touch(None, self._tombstones.popleft()[1])
        everybody = {peer for peers in self._peers.values() for peer in peers}
        inactive = {peer for peer in everybody if not self._is_active(peer, now)}
        if inactive != self._inactive:
            self._inactive = inactive
            self._touch_all()

    def next_expiry(self, now: float) -> float:
        """When `expire` may find something next."""
        times = [now + self._inactive_producer_timeout, *(ends for ends, _ in islice(self._tombstones, 1))]
        for peers in self._peers.values():
            times += [peer.last_update + self._inactive_producer_timeout for peer in peers]
        return min(at for at in times if at >= now) + _MARGIN

    def node_news(self, known: Cluster, now: float) -> list[Change]:
        """What happened to the nodes touched since the last call, `known` being the state then."""
        touched, self._touched_nodes = self._touched_nodes, set()
        return [
            change
            for address in sorted(touched)
            for change in node_changes(address, known.nodes.get(address), self._node(address, now))
        ]

    def topic_news(self, known: Cluster, now: float) -> list[Change]:
        """The same for topics; `known` has the nodes' news already."""
        touched, self._touched_topics = self._touched_topics, set()
        return [
            change
            for name in sorted(touched)
            for change in topic_changes(name, known.topics.get(name), self._topic(name, now))
        ]

    def _touch_all(self) -> None:
        self._touched_nodes |= self._peers.keys()
        self._touch(None, *self._topics)

    def _touch(self, node: str | None, *topics: str) -> None:
        if self._on_touched is None:
            return
        if node is not None:
            self._touched_nodes.add(node)
        self._touched_topics.update(topics)
        self._on_touched()

    def _node(self, address: str, now: float) -> NodeInfo | None:
        """What the newest active connection of the node says; None when there is none."""
        active = [peer for peer in self._peers.get(address, ()) if self._is_active(peer, now)]
        return active[-1].node if active else None

    def _topic(self, name: str, now: float) -> Topic | None:
        entry = self._topics.get(name)
        if entry is None:
            return None
        nodes: dict[str, bool] = {}
        for peer, producer in entry.producers.items():
            if self._is_active(peer, now):
                address = node_address(peer.node)
                nodes[address] = self._is_tombstoned(producer, now) and nodes.get(address, True)
        return Topic(set(entry.channels), nodes)


def _stones(producers: Mapping[Peer, Producer]) -> Iterator[float]:
    return (producer.tombstoned_at for producer in producers.values() if producer.tombstoned_at is not None)
