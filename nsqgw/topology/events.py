"""Events as they travel: a change or a snapshot, with its place in the sequence, as one JSON object.

The schema is docs/topology.md's. A reader skips events and fields it does not know: `SCHEMA` grows only when
that would mislead it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, NamedTuple, get_args

from nsqgw.errors import DiscoveryError
from nsqgw.protocol.lookup import NodeInfo
from nsqgw.topology.changes import Change, NodeUp
from nsqgw.topology.cluster import Cluster, Topic

SCHEMA = 1

_CHANGES: Mapping[str, Any] = {kind.name: kind for kind in get_args(Change)}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state, after all that happened up to the event's sequence number."""

    name: ClassVar[str] = "snapshot"
    cluster: Cluster


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a kind this version does not know: it counts, and is otherwise skipped."""

    name: str


class Position(NamedTuple):
    """A place in a sequence, `<epoch>-<sequence>` as text: the id of a server-sent event."""

    epoch: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """The place `text` tells of; None when it tells of none."""
        epoch, _, number = text.rpartition("-")
        is_number = number.isascii() and number.isdigit() and len(number) < 20
        return cls(epoch, int(number)) if epoch and is_number else None


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    epoch     which sequence: a source that starts anew, and may have missed something, begins another one
    sequence  grows by one with each change; a snapshot has the number of the last change it contains
    time      when the source learned of it, in Unix seconds
    """

    epoch: str
    sequence: int
    time: float
    what: Change | Snapshot | Unknown

    @property
    def position(self) -> Position:
        """Where a reader that has this event goes on."""
        return Position(self.epoch, self.sequence)


def encode(event: Event) -> bytes:
    """The event as JSON, on one line, in ASCII."""
    head = {
        "schema": SCHEMA,
        "event": event.what.name,
        "epoch": event.epoch,
        "sequence": event.sequence,
        "time": round(event.time, 6),
    }
    return json.dumps({**head, **_body(event.what)}, separators=(",", ":")).encode("ascii")


def decode(data: bytes | str) -> Event:
    """The event `data` is; DiscoveryError when it is none, or of a schema of the future."""
    try:
        document = json.loads(data)
        if document["schema"] > SCHEMA:
            raise DiscoveryError(
                f"topology events of schema {document['schema']} are not understood: update nsqgw"
            )
        what = _read(document)
        return Event(_text(document, "epoch"), int(document["sequence"]), float(document["time"]), what)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        shown = data[:80]
        raise DiscoveryError(f"{shown!r} is no topology event: {error!r}") from error


def _body(what: Change | Snapshot | Unknown) -> dict[str, Any]:
    if isinstance(what, Unknown):
        return {}
    if not isinstance(what, Snapshot):
        return asdict(what)
    cluster = what.cluster
    return {
        "nodes": {address: asdict(details) for address, details in sorted(cluster.nodes.items())},
        "topics": {
            name: {
                "channels": sorted(topic.channels),
                "nodes": {node: {"tombstoned": hidden} for node, hidden in sorted(topic.nodes.items())},
            }
            for name, topic in sorted(cluster.topics.items())
        },
    }


def _read(document: Mapping[str, Any]) -> Change | Snapshot | Unknown:
    name = _text(document, "event")
    if name == Snapshot.name:
        nodes = {str(address): _details(node) for address, node in document["nodes"].items()}
        topics = {str(topic): _topic(entry) for topic, entry in document["topics"].items()}
        return Snapshot(Cluster(nodes, topics))
    kind = _CHANGES.get(name)
    if kind is None:
        return Unknown(name)
    if kind is NodeUp:
        return NodeUp(_text(document, "node"), _details(document["details"]))
    change: Change = kind(*(_text(document, item.name) for item in fields(kind)))
    return change


def _topic(entry: Mapping[str, Any]) -> Topic:
    nodes = {str(node): bool(state["tombstoned"]) for node, state in entry["nodes"].items()}
    return Topic(set(map(str, entry["channels"])), nodes)


def _details(node: Mapping[str, Any]) -> NodeInfo:
    return NodeInfo(**{item.name: node[item.name] for item in fields(NodeInfo) if item.name in node})


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value
