"""Everything one nsqlookupd knows, asked over its HTTP API with a bounded number of questions a poll."""

from __future__ import annotations

import asyncio

from nsqgw.http.clients import LookupdHttpAsync
from nsqgw.http.results import TopicsNode
from nsqgw.protocol.lookup import NodeInfo
from nsqgw.topology.changes import node_address
from nsqgw.topology.cluster import Cluster, Topic

CHANNEL_QUESTIONS = 50
"""Topics whose channels are asked for in one poll; with more, those not asked for longest come first."""
_AT_ONCE = 8


class Inquiry:
    """Asks the nsqlookupd of `client` again and again."""

    def __init__(self, client: LookupdHttpAsync) -> None:
        self._client = client
        self._channels: dict[str, frozenset[str]] = {}
        """By topic, in the order in which they were asked for."""

    async def ask(self) -> Cluster:
        """What it knows now; NSQError when it does not answer, or not with sense.

        Channels may be as old as the polls it takes to ask for those of all topics.
        """
        nodes, topics = await asyncio.gather(self._client.nodes(), self._client.topics())
        cluster = Cluster(topics={topic: Topic() for topic in topics})
        for node in nodes:
            _enter(node, cluster)
        await self._ask_channels(cluster)
        for name, topic in cluster.topics.items():
            topic.channels = set(self._channels.get(name, ()))
        return cluster

    async def _ask_channels(self, cluster: Cluster) -> None:
        new = [name for name in cluster.topics if name not in self._channels]
        old = [name for name in self._channels if name in cluster.topics]
        self._channels = {name: self._channels[name] for name in old}
        turns = asyncio.Semaphore(_AT_ONCE)

        async def ask(topic: str) -> None:
            async with turns:
                channels = frozenset(await self._client.channels(topic))
            self._channels.pop(topic, None)
            self._channels[topic] = channels

        questions = [asyncio.ensure_future(ask(topic)) for topic in (new + old)[:CHANNEL_QUESTIONS]]
        try:
            await asyncio.gather(*questions)
        finally:
            for question in questions:
                question.cancel()


def _enter(node: TopicsNode, cluster: Cluster) -> None:
    details = NodeInfo(
        broadcast_address=node.broadcast_address,
        tcp_port=node.tcp_port,
        http_port=node.http_port,
        version=node.version,
        hostname=node.hostname,
        topology_zone=node.topology_zone,
        topology_region=node.topology_region,
    )
    address = node_address(details)
    cluster.nodes[address] = details
    hidden = dict(zip(node.topics, node.tombstones, strict=False))
    for name in node.topics:
        entry = cluster.topics.setdefault(name, Topic())
        entry.nodes[address] = hidden.get(name, False) and entry.nodes.get(address, True)
