"""What can happen to a cluster, one frozen value each; a node goes by the `host:port` clients connect to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nsqgw.http.address import host_and_port
from nsqgw.protocol.lookup import NodeInfo


def node_address(node: NodeInfo) -> str:
    """How events name a node: its broadcast address and TCP port, an IPv6 address in brackets."""
    return host_and_port(node.broadcast_address.strip("[]"), node.tcp_port)


@dataclass(frozen=True, slots=True)
class NodeUp:
    """An nsqd is there; of one that was there already, `details` replaces what it said before."""

    name: ClassVar[str] = "node_up"
    node: str
    details: NodeInfo


@dataclass(frozen=True, slots=True)
class NodeDown:
    """An nsqd is gone, and with it its registrations."""

    name: ClassVar[str] = "node_down"
    node: str


@dataclass(frozen=True, slots=True)
class TopicCreated:
    """A topic is known."""

    name: ClassVar[str] = "topic_created"
    topic: str


@dataclass(frozen=True, slots=True)
class TopicDeleted:
    """A topic is known no more, nor are its channels and registrations."""

    name: ClassVar[str] = "topic_deleted"
    topic: str


@dataclass(frozen=True, slots=True)
class ChannelCreated:
    """A channel is known."""

    name: ClassVar[str] = "channel_created"
    topic: str
    channel: str


@dataclass(frozen=True, slots=True)
class ChannelDeleted:
    """A channel is known no more."""

    name: ClassVar[str] = "channel_deleted"
    topic: str
    channel: str


@dataclass(frozen=True, slots=True)
class Registered:
    """An nsqd has the topic: consumers of it connect there."""

    name: ClassVar[str] = "registered"
    topic: str
    node: str


@dataclass(frozen=True, slots=True)
class Unregistered:
    """An nsqd that stays has the topic no more."""

    name: ClassVar[str] = "unregistered"
    topic: str
    node: str


@dataclass(frozen=True, slots=True)
class Tombstoned:
    """An nsqd is hidden from those who look up the topic."""

    name: ClassVar[str] = "tombstoned"
    topic: str
    node: str


@dataclass(frozen=True, slots=True)
class TombstoneEnded:
    """An nsqd that was hidden is found by those who look up the topic again."""

    name: ClassVar[str] = "tombstone_ended"
    topic: str
    node: str


Change = (
    NodeUp
    | NodeDown
    | TopicCreated
    | TopicDeleted
    | ChannelCreated
    | ChannelDeleted
    | Registered
    | Unregistered
    | Tombstoned
    | TombstoneEnded
)
"""All there are."""
