"""Every call of nsqlookupd's HTTP API: what is sent, what comes back, the refusals (nsqlookupd section 6).

What is created or deleted here concerns the directory only, no nsqd. Arguments are checked before anything is
sent (InvalidName), so that `*`, which the original takes for all topics at once, never gets there.
"""

from __future__ import annotations

from typing import Any

from nsqgw.http.answer import from_object, items_of, nothing, record_of
from nsqgw.http.call import Call
from nsqgw.http.pprof import pprof as pprof
from nsqgw.http.records import items
from nsqgw.http.results import Lookup, LookupdInfo, Node, RegisteredNode, TopicsNode
from nsqgw.protocol.names import check_channel, check_topic


def ping() -> Call[None]:
    """Whether it answers."""
    return Call("GET", "/ping", nothing)


def info() -> Call[LookupdInfo]:
    """Its version."""
    return Call("GET", "/info", record_of(LookupdInfo))


def lookup(topic: str) -> Call[Lookup]:
    """Who has the topic, and its channels. Code: TOPIC_NOT_FOUND."""
    return Call("GET", "/lookup", record_of(Lookup), {"topic": check_topic(topic)})


def topics() -> Call[tuple[str, ...]]:
    """All topics, those without an nsqd too; in no order."""
    return Call("GET", "/topics", items_of(str, "topics"))


def channels(topic: str) -> Call[tuple[str, ...]]:
    """The channels of a topic; none for a topic it does not know."""
    return Call("GET", "/channels", items_of(str, "channels"), {"topic": check_topic(topic)})


def nodes() -> Call[tuple[TopicsNode, ...]]:
    """The nsqds that are alive, with their topics."""
    return Call("GET", "/nodes", items_of(TopicsNode, "producers"))


def create_topic(topic: str) -> Call[None]:
    """List a topic; nothing happens when it is listed."""
    return Call("POST", "/topic/create", nothing, {"topic": check_topic(topic)})


def delete_topic(topic: str) -> Call[None]:
    """Forget a topic and its channels, until an nsqd announces it again; unknown ones too."""
    return Call("POST", "/topic/delete", nothing, {"topic": check_topic(topic)})


def create_channel(topic: str, channel: str) -> Call[None]:
    """List a channel and its topic, so that an nsqd that first uses the topic makes the channel."""
    return Call("POST", "/channel/create", nothing, _names(topic, channel))


def delete_channel(topic: str, channel: str) -> Call[None]:
    """Forget a channel. Code: CHANNEL_NOT_FOUND."""
    return Call("POST", "/channel/delete", nothing, _names(topic, channel))


def tombstone(topic: str, node: str | Node) -> Call[None]:
    """Hide a node from `lookup` of the topic, for 45 s unless the daemon is told otherwise.

    `node` is `<broadcast address>:<HTTP port>`. One that is not known is no error.
    """
    address = node.http_address if isinstance(node, Node) else node
    return Call("POST", "/topic/tombstone", nothing, {"topic": check_topic(topic), "node": address})


def debug() -> Call[dict[str, tuple[RegisteredNode, ...]]]:
    """All there is, by `category:topic:channel`: `client::`, `topic:t:`, `channel:t:c`."""
    return Call("GET", "/debug", from_object(_registrations))


def _names(topic: str, channel: str) -> dict[str, str]:
    return {"topic": check_topic(topic), "channel": check_channel(channel)}


def _registrations(document: dict[str, Any]) -> dict[str, tuple[RegisteredNode, ...]]:
    return {key: items(RegisteredNode, entries, key) for key, entries in document.items()}
