"""A cluster as its directories know it, changed by changes; two clusters are compared by `diff`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nsqgw.protocol.lookup import NodeInfo
from nsqgw.topology.changes import (
    Change,
    ChannelCreated,
    ChannelDeleted,
    NodeDown,
    NodeUp,
    Registered,
    Tombstoned,
    TombstoneEnded,
    TopicCreated,
    TopicDeleted,
    Unregistered,
)


@dataclass(slots=True)
class Topic:
    """A topic: its channels, and the nodes that have it, each with whether it is tombstoned there."""

    channels: set[str] = field(default_factory=set)
    nodes: dict[str, bool] = field(default_factory=dict)

    def visible(self) -> frozenset[str]:
        """The nodes a look-up finds."""
        return frozenset(node for node, tombstoned in self.nodes.items() if not tombstoned)


@dataclass(slots=True)
class Cluster:
    """Nodes by their `host:port`, topics by name. A topic names only nodes that are there."""

    nodes: dict[str, NodeInfo] = field(default_factory=dict)
    topics: dict[str, Topic] = field(default_factory=dict)

    def copy(self) -> Cluster:
        """An independent one of the same content."""
        topics = {name: Topic(set(topic.channels), dict(topic.nodes)) for name, topic in self.topics.items()}
        return Cluster(dict(self.nodes), topics)

    def apply(self, changes: Iterable[Change]) -> None:
        """Let `changes` happen, in order.

        What has happened already does no harm, and what lacks its ground, such as a channel of a topic never
        heard of, lays it: a reader may have come late.
        """
        for change in changes:
            self._apply(change)

    def _apply(self, change: Change) -> None:
        match change:
            case NodeUp(node, details):
                self.nodes[node] = details
            case NodeDown(node):
                self.nodes.pop(node, None)
                for entry in self.topics.values():
                    entry.nodes.pop(node, None)
            case TopicDeleted(topic):
                self.topics.pop(topic, None)
            case TopicCreated() | ChannelCreated() | Registered() | Tombstoned() | TombstoneEnded():
                _enter(self.topics.setdefault(change.topic, Topic()), change)
            case ChannelDeleted(topic, channel):
                self.topics.get(topic, Topic()).channels.discard(channel)
            case Unregistered(topic, node):
                self.topics.get(topic, Topic()).nodes.pop(node, None)


def _enter(
    entry: Topic, change: TopicCreated | ChannelCreated | Registered | Tombstoned | TombstoneEnded
) -> None:
    match change:
        case ChannelCreated():
            entry.channels.add(change.channel)
        case Registered() | TombstoneEnded():
            entry.nodes[change.node] = False
        case Tombstoned():
            entry.nodes[change.node] = True


def diff(old: Cluster, new: Cluster) -> list[Change]:
    """What happened between two states: applied to `old`, the changes make it equal to `new`.

    Nodes come before the topics that name them; a node that is gone takes its registrations along.
    """
    changes: list[Change] = []
    for address in sorted(old.nodes.keys() | new.nodes.keys()):
        changes += node_changes(address, old.nodes.get(address), new.nodes.get(address))
    for name in sorted(old.topics.keys() | new.topics.keys()):
        before = old.topics.get(name)
        if before is not None:
            still = {node: hidden for node, hidden in before.nodes.items() if node in new.nodes}
            before = Topic(before.channels, still)
        changes += topic_changes(name, before, new.topics.get(name))
    return changes


def node_changes(address: str, old: NodeInfo | None, new: NodeInfo | None) -> list[Change]:
    """What happened to one node."""
    if old == new:
        return []
    return [NodeDown(address)] if new is None else [NodeUp(address, new)]


def topic_changes(name: str, old: Topic | None, new: Topic | None) -> list[Change]:
    """What happened to one topic; nodes that are down must have left `old` already."""
    if new is None:
        return [] if old is None else [TopicDeleted(name)]
    changes: list[Change] = [TopicCreated(name)] if old is None else []
    before = old or Topic()
    changes += [ChannelDeleted(name, channel) for channel in sorted(before.channels - new.channels)]
    changes += [ChannelCreated(name, channel) for channel in sorted(new.channels - before.channels)]
    changes += [Unregistered(name, node) for node in sorted(before.nodes.keys() - new.nodes.keys())]
    for node, hidden in sorted(new.nodes.items()):
        if node not in before.nodes:
            changes.append(Registered(name, node))
        if hidden != before.nodes.get(node, False):
            changes.append(Tombstoned(name, node) if hidden else TombstoneEnded(name, node))
    return changes
