"""What /stats tells (nsqd-http section 6): one snapshot of the broker, as the JSON document.

The keys stand in the original's order, and are left out where the original leaves them out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compat.memory import memory_figures
from compat.nsqd.latency import quantiles

if TYPE_CHECKING:
    from compat.nsqd.auth_gate import AuthGate
    from compat.nsqd.broker import Nsqd
    from compat.nsqd.channel import Channel
    from compat.nsqd.client import Client
    from compat.nsqd.tls import TlsFacts
    from compat.nsqd.topic import Topic

Document = dict[str, Any]


@dataclass(frozen=True)
class StatsQuery:
    """What was asked for; an empty name means all."""

    topic: str = ""
    channel: str = ""
    include_clients: bool = True
    include_mem: bool = True


def stats_document(nsqd: Nsqd, query: StatsQuery, version: str) -> Document:
    """The answer to /stats?format=json."""
    nsqd.settle()
    clients_of = _clients_by_channel(nsqd)
    document: Document = {
        "version": version,
        "health": str(nsqd.storage.health),
        "start_time": nsqd.start_time,
        "topics": _topics(nsqd, query, clients_of),
    }
    if query.include_mem:
        document["memory"] = memory_figures()
    document["producers"] = _producers(nsqd, query)
    return document


def _topics(nsqd: Nsqd, query: StatsQuery, clients_of: dict[Channel, list[Client]]) -> list[Document] | None:
    if query.topic and query.topic not in nsqd.topics:
        return None
    topics = [nsqd.topics[query.topic]] if query.topic else _by_name(nsqd.topics.values())
    percentiles = nsqd.options.e2e_processing_latency_percentiles
    documents: list[Document] = []
    for topic in topics:
        channels = [each for each in _by_name(topic.channels.values()) if query.channel in ("", each.name)]
        if channels or not query.channel:
            inner = [
                _channel(each, _latency([each], percentiles), clients_of.get(each, []), query)
                for each in channels
            ]
            documents.append(_topic(topic, inner, _latency(topic.channels.values(), percentiles)))
    return documents


def _producers(nsqd: Nsqd, query: StatsQuery) -> list[Document] | None:
    """Every connection that ever published; null for none, as Go writes an empty list nobody made."""
    if not query.include_clients:
        return None
    publishers = [each.client for each in nsqd.clients if each.client.pub_counts]
    return [_client(each, query.topic) for each in publishers] or None


def _clients_by_channel(nsqd: Nsqd) -> dict[Channel, list[Client]]:
    clients_of: dict[Channel, list[Client]] = {}
    for connection in nsqd.clients:
        client = connection.client
        if client.channel is not None and client.consumer in client.channel.consumers:
            clients_of.setdefault(client.channel, []).append(client)
    return clients_of


def _by_name(named: Iterable[Any]) -> list[Any]:
    return sorted(named, key=lambda each: each.name)


def _topic(topic: Topic, channels: list[Document], latency: Document) -> Document:
    return {
        "topic_name": topic.name,
        "channels": channels,
        "depth": topic.depth,
        "backend_depth": topic.backend_depth,
        "message_count": topic.message_count,
        "message_bytes": topic.message_bytes,
        "paused": topic.paused,
        "e2e_processing_latency": latency,
    }


def _channel(channel: Channel, latency: Document, clients: list[Client], query: StatsQuery) -> Document:
    return {
        "channel_name": channel.name,
        "depth": channel.depth,
        "backend_depth": channel.backend_depth,
        "in_flight_count": channel.in_flight_count,
        "deferred_count": channel.deferred_count,
        "message_count": channel.message_count,
        **_non_zero(global_msg_count=channel.delivery_count),
        "requeue_count": channel.requeue_count,
        "timeout_count": channel.timeout_count,
        "client_count": len(channel.consumers),
        "clients": [_client(each, query.topic) for each in clients] if query.include_clients else None,
        "paused": channel.paused,
        "e2e_processing_latency": latency,
    }


def _client(client: Client, topic: str) -> Document:
    settings, consumer = client.settings, client.consumer
    document: Document = {
        "client_id": settings.client_id if client.identified else client.host,
        "hostname": settings.hostname if client.identified else client.host,
        "version": "V2",
        "remote_address": client.address,
        "state": int(client.protocol.state),
        "ready_count": consumer.rdy,
        "in_flight_count": consumer.in_flight_count,
        "message_count": consumer.message_count,
        "finish_count": consumer.finish_count,
        "requeue_count": consumer.requeue_count,
        "connect_ts": client.connect_time,
        "sample_rate": consumer.sample_rate,
        "deflate": settings.deflate,
        "snappy": settings.snappy,
        "user_agent": settings.user_agent,
        **_standing(client.gate),
        "topology_zone": settings.topology_zone,
        "topology_region": settings.topology_region,
    }
    published = [name for name in client.pub_counts if topic in ("", name)][:1]
    if published:
        document["pub_counts"] = [{"topic": name, "count": client.pub_counts[name]} for name in published]
    return document | _tls(client.tls)


def _standing(gate: AuthGate | None) -> Document:
    grant = gate.grant if gate is not None else None
    if grant is None:
        return {}
    names = {"auth_identity": grant.identity, "auth_identity_url": grant.identity_url}
    return {"authed": True, **{name: value for name, value in names.items() if value}}


def _tls(facts: TlsFacts | None) -> Document:
    return {
        "tls": facts is not None,
        "tls_cipher_suite": facts.cipher_suite if facts is not None else "",
        "tls_version": facts.version if facts is not None else "",
        "tls_negotiated_protocol": "",
        "tls_negotiated_protocol_is_mutual": facts is not None,
    }


def _latency(channels: Iterable[Channel], percentiles: Sequence[float]) -> Document:
    """From publishing to FIN, over all the channels; without any that watch it there are no percentiles."""
    watched = [each.latencies.counts() for each in channels if each.latencies is not None]
    counts = sum(watched, Counter[int]())
    shown = quantiles(counts, percentiles) if watched else None
    return {"count": sum(counts.values()), "percentiles": shown}


def _non_zero(**counts: int) -> Document:
    return {name: count for name, count in counts.items() if count}
