"""nsqd.dat: the topics and channels there are, and which of them are paused (nsqd-behaviour section 3)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compat.version import NSQ_VERSION
from nsqgw.protocol.names import is_valid_name

if TYPE_CHECKING:
    from compat.nsqd.topic import Topic

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChannelMetadata:
    """A channel as nsqd.dat has it."""

    name: str
    paused: bool = False


@dataclass(frozen=True)
class TopicMetadata:
    """A topic as nsqd.dat has it."""

    name: str
    paused: bool = False
    channels: tuple[ChannelMetadata, ...] = ()


def encode_metadata(topics: Iterable[Topic]) -> bytes:
    """The content of nsqd.dat; what is ephemeral is left out."""
    documents = [_topic_document(topic) for topic in topics if not topic.ephemeral]
    document = {"topics": documents or None, "version": NSQ_VERSION}
    return json.dumps(document, separators=(",", ":")).encode()


def decode_metadata(content: bytes) -> list[TopicMetadata]:
    """What nsqd.dat says. Raises ValueError; names nsqd would refuse are left out with a warning."""
    document = json.loads(content.decode("utf-8", "replace"))
    document = _is(dict, {} if document is None else document, "the whole")
    topics = []
    for each in _is(list, document.get("topics") or [], "topics"):
        topic = _is(dict, each, "a topic")
        channels = [
            ChannelMetadata(*_name_and_pause(channel))
            for channel in _is(list, topic.get("channels") or [], "channels")
        ]
        topics.append(TopicMetadata(*_name_and_pause(topic), tuple(filter(_is_valid, channels))))
    return list(filter(_is_valid, topics))


def _topic_document(topic: Topic) -> dict[str, Any]:
    channels = [
        {"name": channel.name, "paused": channel.paused}
        for channel in topic.channels.values()
        if not channel.ephemeral
    ]
    return {"name": topic.name, "paused": topic.paused, "channels": channels or None}


def _name_and_pause(document: object) -> tuple[str, bool]:
    fields = _is(dict, document, "a channel")
    return _is(str, fields.get("name") or "", "name"), _is(bool, fields.get("paused") or False, "paused")


def _is(kind: type, value: Any, what: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{what} is no {kind.__name__}: {json.dumps(value)[:40]}")
    return value


def _is_valid(named: TopicMetadata | ChannelMetadata) -> bool:
    if is_valid_name(named.name):
        return True
    logger.warning("skipping creation of invalid name %r in nsqd.dat", named.name)
    return False
