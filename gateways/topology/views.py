"""What several nsqlookupds say, as one cluster: their union, calm when one of them is away or starts anew.

Pure: fed with clusters and clock readings in seconds. What appears is there at once; what vanishes is gone
only after a while, since a restarted nsqlookupd knows nothing until its nsqds come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nsqgw.topology.cluster import Cluster, Topic

SETTLE = 20.0
"""Seconds after which what vanished is gone; nsqds come back to an nsqlookupd within 15."""
KEEP = 300.0
"""Seconds for which an nsqlookupd that does not answer, while others do, is taken by its last word."""

Thing = tuple[str, str, str]
"""What may vanish: its kind, a node's or topic's name, and the channel or node that a topic has."""


class Views:
    """The last word of each nsqlookupd, and what was made of all of them."""

    def __init__(self, settle: float = SETTLE, keep: float = KEEP) -> None:
        self._settle = settle
        self._keep = keep
        self._views: dict[str, tuple[float, Cluster]] = {}
        self._merged = Cluster()
        self._missing_since: dict[Thing, float] = {}

    def answered(self, lookupd: str, cluster: Cluster, now: float) -> None:
        """An nsqlookupd was asked for everything, and answered this."""
        self._views[lookupd] = (now, cluster)

    def merge(self, now: float) -> Cluster:
        """The cluster, as far as is known now.

        While no nsqlookupd answers at all, everything stays as it was.
        """
        newest = max((heard for heard, _ in self._views.values()), default=now)
        union = _union(view for heard, view in self._views.values() if newest - heard <= self._keep)
        self._retain(union, now)
        self._merged = union
        return union.copy()

    def _retain(self, union: Cluster, now: float) -> None:
        """Put back what has not been missing for long."""
        missing = set(_things(self._merged)) - set(_things(union))
        since = {thing: self._missing_since.get(thing, now) for thing in missing}
        self._missing_since = {thing: at for thing, at in since.items() if now - at < self._settle}
        for thing in self._missing_since:
            _put_back(thing, self._merged, union)
        for topic in union.topics.values():
            topic.nodes = {node: hidden for node, hidden in topic.nodes.items() if node in union.nodes}


def _union(views: Iterable[Cluster]) -> Cluster:
    """Everything anybody knows; a node is hidden for a topic when all who know it there hide it."""
    union = Cluster()
    for view in views:
        union.nodes.update(view.nodes)
        for name, topic in view.topics.items():
            entry = union.topics.setdefault(name, Topic())
            entry.channels |= topic.channels
            for node, hidden in topic.nodes.items():
                entry.nodes[node] = hidden and entry.nodes.get(node, True)
    return union


def _things(cluster: Cluster) -> Iterator[Thing]:
    for node in cluster.nodes:
        yield "node", node, ""
    for name, topic in cluster.topics.items():
        yield "topic", name, ""
        for channel in topic.channels:
            yield "channel", name, channel
        for node in topic.nodes:
            yield "registration", name, node


def _put_back(thing: Thing, old: Cluster, new: Cluster) -> None:
    kind, name, part = thing
    if kind == "node":
        new.nodes[name] = old.nodes[name]
        return
    topic = new.topics.setdefault(name, Topic())
    if kind == "channel":
        topic.channels.add(part)
    elif kind == "registration":
        topic.nodes[part] = old.topics[name].nodes[part]
