"""Where news of the cluster may come from beside polling: the seam for feeds of topology changes.

A feed only adds: what it calls back with is new or back, as if a poll had found it just now. That something
is gone need not be told, since a connection to it ends by itself, and one that lives is of use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from nsqgw.topology.changes import Change, NodeUp, Registered, TombstoneEnded, TopicCreated
from nsqgw.topology.cluster import Cluster

OnFound = Callable[[frozenset[str]], None]
Unfollow = Callable[[], None]
"""To be called when nobody wants to know any more."""


class TopologyFeed(Protocol):
    """Tells at once what a poll of nsqlookupd would find up to a minute later.

    Each method begins to call `on_found` on the event loop and returns how to end that; what is known already
    is told before it returns.
    """

    def follow(self, topic: str, on_found: OnFound) -> Unfollow:
        """Tell of nsqds, by `host:port`, that now have `topic`."""

    def follow_nsqds(self, on_found: OnFound) -> Unfollow:
        """Tell of nsqds, by `host:port`, that are there now."""

    def follow_topics(self, on_found: OnFound) -> Unfollow:
        """Tell of topics that exist now."""


class _Interest(Protocol):
    """What a follower wants to know."""

    def all(self, cluster: Cluster) -> frozenset[str]:
        """Everything in `cluster`."""

    def news(self, changes: Iterable[Change]) -> frozenset[str]:
        """What `changes` may have brought."""


@dataclass(frozen=True)
class _NsqdsWith:
    topic: str

    def all(self, cluster: Cluster) -> frozenset[str]:
        topic = cluster.topics.get(self.topic)
        return topic.visible() if topic is not None else frozenset()

    def news(self, changes: Iterable[Change]) -> frozenset[str]:
        kinds = (Registered, TombstoneEnded)
        return frozenset(c.node for c in changes if isinstance(c, kinds) and c.topic == self.topic)


class _Nsqds:
    def all(self, cluster: Cluster) -> frozenset[str]:
        return frozenset(cluster.nodes)

    def news(self, changes: Iterable[Change]) -> frozenset[str]:
        return frozenset(change.node for change in changes if isinstance(change, NodeUp))


class _Topics:
    def all(self, cluster: Cluster) -> frozenset[str]:
        return frozenset(cluster.topics)

    def news(self, changes: Iterable[Change]) -> frozenset[str]:
        return frozenset(change.topic for change in changes if isinstance(change, TopicCreated | Registered))


class Announcements(TopologyFeed):
    """A feed to be fed: with the cluster of each source, and what changes in it."""

    def __init__(self) -> None:
        self._clusters: dict[str, Cluster] = {}
        self._followers: dict[object, tuple[_Interest, OnFound]] = {}

    def follow(self, topic: str, on_found: OnFound) -> Unfollow:
        return self._follow(_NsqdsWith(topic), on_found)

    def follow_nsqds(self, on_found: OnFound) -> Unfollow:
        return self._follow(_Nsqds(), on_found)

    def follow_topics(self, on_found: OnFound) -> Unfollow:
        return self._follow(_Topics(), on_found)

    def reset(self, source: str, cluster: Cluster) -> None:
        """This is the state of `source`; it is ours from now on."""
        self._clusters[source] = cluster
        for interest, on_found in list(self._followers.values()):
            _tell(on_found, interest.all(cluster))

    def happened(self, source: str, changes: Iterable[Change]) -> None:
        """These changes happened there."""
        changes = list(changes)
        cluster = self._clusters.setdefault(source, Cluster())
        cluster.apply(changes)
        self.announce(cluster, changes)

    def announce(self, cluster: Cluster, changes: list[Change]) -> None:
        """Tell followers of `changes` that have led to `cluster`."""
        for interest, on_found in list(self._followers.values()):
            if found := interest.news(changes):
                _tell(on_found, found & interest.all(cluster))

    def forget(self, source: str) -> None:
        """What is there now is not known any more."""
        self._clusters.pop(source, None)

    def _follow(self, interest: _Interest, on_found: OnFound) -> Unfollow:
        key = object()
        self._followers[key] = (interest, on_found)
        known = (interest.all(cluster) for cluster in self._clusters.values())
        _tell(on_found, frozenset().union(*known))
        return lambda: self._drop(key)

    def _drop(self, key: object) -> None:
        self._followers.pop(key, None)


class JoinedFeeds(TopologyFeed):
    """What any of several feeds tells."""

    def __init__(self, *feeds: TopologyFeed) -> None:
        self._feeds = feeds

    def follow(self, topic: str, on_found: OnFound) -> Unfollow:
        return _all([feed.follow(topic, on_found) for feed in self._feeds])

    def follow_nsqds(self, on_found: OnFound) -> Unfollow:
        return _all([feed.follow_nsqds(on_found) for feed in self._feeds])

    def follow_topics(self, on_found: OnFound) -> Unfollow:
        return _all([feed.follow_topics(on_found) for feed in self._feeds])


def _all(unfollow: list[Unfollow]) -> Unfollow:
    def call() -> None:
        for each in unfollow:
            each()

    return call


def _tell(on_found: OnFound, found: frozenset[str]) -> None:
    if found:
        on_found(found)
