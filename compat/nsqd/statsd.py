"""Figures for a statsd daemon, by UDP (nsqd-behaviour section 6): names, counters as differences, packets.

A round is made from the same document as /stats: lines, packed into datagrams, spread over the interval.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from compat.memory import MEMORY_KEYS
from compat.nsqd.stats import Document, StatsQuery, stats_document
from compat.version import NSQ_VERSION
from nsqgw.deadline import within
from nsqgw.protocol.names import is_ephemeral
from nsqgw.service.settings import parse_address

if TYPE_CHECKING:
    from compat.nsqd.broker import Nsqd

logger = logging.getLogger(__name__)

_RESOLVE_TIMEOUT = 1.0
_REST = 1.0
"""The part of the interval that is left free of packets, in seconds."""

_TOPIC_COUNTERS = ("message_count", "message_bytes")
_TOPIC_GAUGES = ("depth", "backend_depth")
_CHANNEL_LINES = (
    ("message_count", "message_count", "c"),
    ("depth", "depth", "g"),
    ("backend_depth", "backend_depth", "g"),
    ("in_flight_count", "in_flight_count", "g"),
    ("deferred_count", "deferred_count", "g"),
    ("requeue_count", "requeue_count", "c"),
    ("timeout_count", "timeout_count", "c"),
    ("clients", "client_count", "g"),
)
"""Name in statsd, key in /stats, and whether it counts (`c`) or stands (`g`)."""


class Counters:
    """Turns counts that only grow into what came since the last time; a name that is gone is forgotten."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def difference(self, name: str, count: int) -> int:
        """What was added; all of it for a new name."""
        self._seen[name] = count
        return count - self._last.get(name, 0)

    def end_round(self) -> None:
        """All names were given."""
        self._last, self._seen = self._seen, {}


def lines(document: Document, counters: Counters, *, ephemeral: bool = True) -> Iterator[str]:
    """One round, as lines without prefix and line end; `document` is that of /stats without clients.

    `ephemeral` says whether ephemeral names are in it. Memory is when the document has it.
    """
    for topic in document["topics"]:
        if ephemeral or not is_ephemeral(topic["topic_name"]):
            yield from _topic_lines(topic, counters, ephemeral)
    memory = document.get("memory", {})
    for key in MEMORY_KEYS[:-1] if memory else ():
        yield f"mem.{key}:{memory[key]}|g"
    if memory:
        yield f"mem.gc_runs:{counters.difference('mem.gc_runs', memory[MEMORY_KEYS[-1]])}|c"
    counters.end_round()


def _topic_lines(topic: Document, counters: Counters, ephemeral: bool) -> Iterator[str]:
    name = f"topic.{topic['topic_name']}"
    for key in _TOPIC_COUNTERS:
        yield f"{name}.{key}:{counters.difference(f'{name}.{key}', topic[key])}|c"
    for key in _TOPIC_GAUGES:
        yield f"{name}.{key}:{topic[key]}|g"
    yield from _latency_lines(name, topic)
    for channel in topic["channels"]:
        if ephemeral or not is_ephemeral(channel["channel_name"]):
            yield from _channel_lines(f"{name}.channel.{channel['channel_name']}", channel, counters)


def _channel_lines(name: str, channel: Document, counters: Counters) -> Iterator[str]:
    for word, key, kind in _CHANNEL_LINES:
        value = channel[key]
        if kind == "c":
            value = counters.difference(f"{name}.{word}", value)
        yield f"{name}.{word}:{value}|{kind}"
    yield from _latency_lines(name, channel)


def _latency_lines(name: str, entry: Document) -> Iterator[str]:
    for each in entry["e2e_processing_latency"]["percentiles"] or ():
        yield f"{name}.e2e_processing_latency_{each['quantile'] * 100:.0f}:{int(each['value'])}|g"


def datagrams(prefixed: Iterable[str], size: int) -> list[bytes]:
    """The lines in packets of at most `size` bytes; a longer line goes alone."""
    packets: list[bytes] = []
    packet = b""
    for line in prefixed:
        encoded = line.encode() + b"\n"
        if packet and len(packet) + len(encoded) > size:
            packets.append(packet)
            packet = b""
        packet += encoded
    return [*packets, packet] if packet else packets


def statsd_push(nsqd: Nsqd) -> StatsdPush:
    """The push of a broker that listens, after its options."""
    options = nsqd.options
    query = StatsQuery(include_clients=False, include_mem=options.statsd_mem_stats)
    counters = Counters()

    def collect() -> list[bytes]:
        document = stats_document(nsqd, query, NSQ_VERSION)
        figures = lines(document, counters, ephemeral=not options.statsd_exclude_ephemeral)
        return datagrams((options.statsd_prefix + line for line in figures), options.statsd_udp_packet_size)

    return StatsdPush(options.statsd_address, options.statsd_interval, collect)


class StatsdPush:
    """Pushes what `collect` gives to `address` every `interval` seconds, until its `run` is cancelled."""

    def __init__(self, address: str, interval: float, collect: Callable[[], list[bytes]]) -> None:
        self._address = address
        self._interval = interval
        self._collect = collect

    async def run(self) -> None:
        """One round after another; one that fails is logged."""
        clock = asyncio.get_running_loop().time
        due = clock() + self._interval
        while True:
            await asyncio.sleep(due - clock())
            due = max(due + self._interval, clock())
            try:
                await self._push()
            except (OSError, asyncio.TimeoutError) as error:
                logger.error("failed to create UDP socket to statsd(%s) - %s", self._address, error)

    async def _push(self) -> None:
        loop = asyncio.get_running_loop()
        host, port = parse_address(self._address)
        opening = loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(host, port))
        transport, _ = await within(_RESOLVE_TIMEOUT, opening)
        logger.info("STATSD: pushing stats to %s", self._address)
        packets = self._collect()
        pause = max(0.0, self._interval - _REST) / max(1, len(packets))
        waiting = iter(packets)
        try:
            for packet in waiting:
                transport.sendto(packet)
                await asyncio.sleep(pause)
        finally:
            for packet in waiting:  # at the daemon's end there is no more time to spread them over
                transport.sendto(packet)
            transport.close()
