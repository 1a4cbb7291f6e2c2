"""/stats for people: the lines of nsqd-http 6.2, made from the JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from compat.go_durations import format_duration
from compat.nsqd.stats import Document


def stats_text(document: Document, version_line: str, now: float) -> str:
    """The text; `now` is seconds since the epoch."""
    return "\n".join(_lines(document, version_line, now)) + "\n"


def _lines(document: Document, version_line: str, now: float) -> Iterator[str]:
    yield version_line
    yield f"start_time {_rfc3339(document['start_time'])}"
    yield f"uptime {format_duration(max(0.0, now - document['start_time']))}"
    yield ""
    yield f"Health: {document['health']}"
    yield ""
    if "memory" in document:
        yield "Memory:"
        for name, value in document["memory"].items():
            yield f"   {name:<25}\t{value}"
        yield ""
    topics = document["topics"] or []
    yield "Topics:" if topics else "Topics: None"
    for number, topic in enumerate(topics):
        if number:
            yield ""
        yield from _topic_lines(topic, now)
    yield ""
    producers = document["producers"] or []
    yield "Producers:" if producers else "Producers: None"
    for producer in producers:
        yield "   " + _client_line(producer, now)


def _topic_lines(topic: Document, now: float) -> Iterator[str]:
    yield (
        f"{'*P ' if topic['paused'] else '   '}[{topic['topic_name']:<15}] depth: {topic['depth']:<5d} "
        f"be-depth: {topic['backend_depth']:<5d} msgs: {topic['message_count']:<8d} e2e%: {_latencies(topic)}"
    )
    for channel in topic["channels"]:
        yield (
            f"{'   *P ' if channel['paused'] else '      '}[{channel['channel_name']:<25}] "
            f"depth: {channel['depth']:<5d} be-depth: {channel['backend_depth']:<5d} "
            f"inflt: {channel['in_flight_count']:<4d} def: {channel['deferred_count']:<4d} "
            f"re-q: {channel['requeue_count']:<5d} timeout: {channel['timeout_count']:<5d} "
            f"msgs: {channel['message_count']:<8d} e2e%: {_latencies(channel)}"
        )
        for client in channel["clients"] or []:
            yield "        " + _client_line(client, now)


def _latencies(entry: Document) -> str:
    percentiles = entry["e2e_processing_latency"]["percentiles"] or ()
    return ", ".join(_short_duration(each["value"]) for each in percentiles)


def _short_duration(nanoseconds: float) -> str:
    for size, unit in (10**9, "s"), (10**6, "ms"), (1000, "us"):
        if nanoseconds > size:
            return f"{nanoseconds / size:.1f}{unit}"
    return f"{nanoseconds:.1f}ns"


def _client_line(client: Document, now: float) -> str:
    port = client["remote_address"].rpartition(":")[2]
    who = f"{client['hostname']}:{port} {client['user_agent']}"
    connected = format_duration(max(0.0, round(now) - client["connect_ts"]))
    if "pub_counts" in client:
        topics = ", ".join(f"{each['topic']}={each['count']}" for each in client["pub_counts"])
        total = sum(each["count"] for each in client["pub_counts"])
        return f"[V2 {who:<21}] msgs: {total:<8d} topics: {topics} connected: {connected}"
    return (
        f"[V2 {who:<21}] state: {client['state']} inflt: {client['in_flight_count']:<4d} "
        f"rdy: {client['ready_count']:<4d} fin: {client['finish_count']:<8d} "
        f"re-q: {client['requeue_count']:<8d} msgs: {client['message_count']:<8d} connected: {connected}"
    )


def _rfc3339(seconds: int) -> str:
    text = datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
    return text.replace("+00:00", "Z")
