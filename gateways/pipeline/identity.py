"""What makes an event the same one on every delivery: topic, message id and timestamp.

nsqd keeps id and timestamp through redeliveries, on every channel and over its restarts. The id alone is not
enough: two nsqds may have the same node id. The nsqd's address is no part of it: it changes in containers.
"""

from __future__ import annotations

from nsqgw.message import Message

EventKey = tuple[str, bytes, int]
"""Topic, message id, and timestamp in nanoseconds."""


def event_key(message: Message) -> EventKey:
    """The key as a value, to compare with others."""
    return message.origin.topic, message.id, message.timestamp


def event_id(message: Message) -> str:
    """The key as text, for sinks that take ids: `topic-id-timestamp`, at most 108 ASCII characters.

    A topic may contain `-`; the other two are of known form, so two keys never give the same text.
    """
    return f"{message.origin.topic}-{message.id.decode('ascii', 'backslashreplace')}-{message.timestamp}"
