"""The HTTP port (nsqlookupd section 6): who has a topic, what is known, and the calls that change it.

The original takes `topic=*` for all topics at once, deletion included; here it is a name nobody has.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from compat.debug import debug_routes
from compat.http_api import ApiError, Call, Route
from compat.http_legacy import Legacy, with_legacy
from compat.nsqlookupd.registry import Peer, Producer
from compat.version import NSQ_VERSION
from nsqgw.protocol.names import is_valid_name

if TYPE_CHECKING:
    from compat.nsqlookupd.daemon import Nsqlookupd

logger = logging.getLogger(__name__)

LEGACY = Legacy(
    answered=("/info", "/lookup", "/topics", "/channels", "/nodes", "/debug"),
    renamed={
        "/create_topic": "/topic/create",
        "/delete_topic": "/topic/delete",
        "/create_channel": "/channel/create",
        "/delete_channel": "/channel/delete",
        "/tombstone_topic_producer": "/topic/tombstone",
    },
)
"""What nsqlookupd served before 1.0 (nsqlookupd 6.4)."""

_NEVER = -6795364578871345152
"""What Go makes of the zero time in nanoseconds."""


def routes(lookupd: Nsqlookupd) -> list[Route]:
    """The table of the API."""
    handlers = _Handlers(lookupd)
    table = [
        Route("GET", "/ping", lambda call: "OK", plain=True),
        Route("GET", "/info", lambda call: {"version": NSQ_VERSION}),
        Route("GET", "/lookup", handlers.lookup),
        Route("GET", "/topics", handlers.topics),
        Route("GET", "/channels", handlers.channels),
        Route("GET", "/nodes", handlers.nodes),
        Route("POST", "/topic/create", handlers.create_topic),
        Route("POST", "/topic/delete", handlers.delete_topic),
        Route("POST", "/topic/tombstone", handlers.tombstone),
        Route("POST", "/channel/create", handlers.create_channel),
        Route("POST", "/channel/delete", handlers.delete_channel),
        Route("GET", "/debug", handlers.debug),
        *debug_routes(),
    ]
    return with_legacy(table, LEGACY) if lookupd.options.legacy_http else table


class _Handlers:
    def __init__(self, lookupd: Nsqlookupd) -> None:
        self._lookupd = lookupd
        self._registry = lookupd.registry

    def lookup(self, call: Call) -> object:
        topic = call.required("topic")
        if not self._registry.knows(topic):
            raise ApiError(404, "TOPIC_NOT_FOUND")
        producers = self._registry.producers(topic, self._lookupd.now())
        return {
            "channels": self._registry.channels(topic),
            "producers": [_peer_document(peer) for peer in producers],
        }

    def topics(self, call: Call) -> object:
        return {"topics": self._registry.topics()}

    def channels(self, call: Call) -> object:
        return {"channels": self._registry.channels(call.required("topic"))}

    def nodes(self, call: Call) -> object:
        nodes = self._registry.nodes(self._lookupd.now())
        return {
            "producers": [
                {**_peer_document(peer), "tombstones": list(topics.values()), "topics": list(topics)}
                for peer, topics in nodes
            ]
        }

    def create_topic(self, call: Call) -> None:
        topic = _valid(call, "topic")
        logger.info("DB: adding topic(%s)", topic)
        self._registry.create_topic(topic)

    def delete_topic(self, call: Call) -> None:
        topic = call.required("topic")
        logger.info("DB: removing topic(%s)", topic)
        self._registry.delete_topic(topic)

    def tombstone(self, call: Call) -> None:
        topic, node = call.required("topic"), call.required("node")
        logger.info("DB: setting tombstone for producer@%s of topic(%s)", node, topic)
        self._registry.tombstone(topic, node, self._lookupd.now())

    def create_channel(self, call: Call) -> None:
        topic, channel = _valid(call, "topic"), _valid(call, "channel")
        logger.info("DB: adding channel(%s) in topic(%s)", channel, topic)
        self._registry.create_channel(topic, channel)

    def delete_channel(self, call: Call) -> None:
        topic, channel = _valid(call, "topic"), _valid(call, "channel")
        if not self._registry.delete_channel(topic, channel):
            raise ApiError(404, "CHANNEL_NOT_FOUND")
        logger.info("DB: removing channel(%s) from topic(%s)", channel, topic)

    def debug(self, call: Call) -> object:
        to_wall = time.time() - self._lookupd.now()
        document = {
            ":".join(registration): [_producer_document(producer, to_wall) for producer in producers]
            for registration, producers in self._registry.registrations()
            if producers
        }
        return dict(sorted(document.items()))


def _valid(call: Call, name: str) -> str:
    value = call.required(name)
    if not is_valid_name(value):
        raise ApiError(400, f"INVALID_ARG_{name.upper()}")
    return value


def _peer_document(peer: Peer) -> dict[str, object]:
    node = peer.node
    return {
        "remote_address": peer.remote_address,
        "hostname": node.hostname,
        "broadcast_address": node.broadcast_address,
        "tcp_port": node.tcp_port,
        "http_port": node.http_port,
        "version": node.version,
        "topology_zone": node.topology_zone,
        "topology_region": node.topology_region,
    }


def _producer_document(producer: Producer, to_wall: float) -> dict[str, object]:
    """An entry of /debug; `to_wall` turns readings of the registry's clock into Unix seconds."""
    tombstoned_at = producer.tombstoned_at
    return {
        "id": producer.peer.remote_address,
        **asdict(producer.peer.node),
        "last_update": _nanoseconds(producer.peer.last_update + to_wall),
        "tombstoned": tombstoned_at is not None,
        "tombstoned_at": _NEVER if tombstoned_at is None else _nanoseconds(tombstoned_at + to_wall),
    }


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
