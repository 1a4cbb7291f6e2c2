"""Whatever nsqds and people do to nsqlookupd: its journal has the state that /lookup and /nodes show."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compat.nsqlookupd.registry import Peer
from compat.nsqlookupd.topology_registry import WatchedRegistry
from nsqgw.protocol.lookup import NodeInfo
from nsqgw.topology.changes import node_address
from nsqgw.topology.cluster import Cluster, Topic
from nsqgw.topology.journal import Journal

TIMEOUT, LIFETIME = 300.0, 45.0
TOPICS = st.sampled_from(["t", "u", "v#ephemeral"])
CHANNELS = st.sampled_from(["c", "d#ephemeral"])
HOSTS = st.sampled_from(["a", "b"])
WHO = st.integers(0, 3)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("identify"), HOSTS),
        st.tuples(st.just("ping"), WHO),
        st.tuples(st.just("register"), WHO, TOPICS, st.none() | CHANNELS),
        st.tuples(st.just("unregister"), WHO, TOPICS, st.none() | CHANNELS),
        st.tuples(st.just("disconnect"), WHO),
        st.tuples(st.just("create_topic"), TOPICS),
        st.tuples(st.just("create_channel"), TOPICS, CHANNELS),
        st.tuples(st.just("delete_topic"), TOPICS),
        st.tuples(st.just("delete_channel"), TOPICS, CHANNELS),
        st.tuples(st.just("tombstone"), TOPICS, HOSTS),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 46.0, 200.0, 301.0])),
        st.tuples(st.just("look")),
    ),
    max_size=40,
)


class World:
    """A registry, what was recorded of it, and a clock."""

    def __init__(self) -> None:
        self.registry = WatchedRegistry(TIMEOUT, LIFETIME)
        self.journal = Journal()
        self.peers: list[Peer] = []
        self.now = 1000.0
        self.alarm = 0.0

    def do(self, step: tuple[object, ...]) -> None:
        name, *arguments = step
        if name == "identify":
            node = NodeInfo(str(arguments[0]), 4150, 4151, f"v{len(self.peers)}")
            self.peers.append(self.registry.identify(f"peer{len(self.peers)}", node, self.now))
        elif name in ("ping", "register", "unregister", "disconnect"):
            self._do_as_peer(str(name), *arguments)
        elif name == "tombstone":
            self.registry.tombstone(str(arguments[0]), f"{arguments[1]}:4151", self.now)
        elif name == "wait":
            self._wait(float(str(arguments[0])))
        elif name == "look":
            self.look()
        else:
            getattr(self.registry, str(name))(*arguments)

    def _do_as_peer(self, name: str, who: object, *rest: object) -> None:
        if not self.peers:
            return
        peer = self.peers[int(str(who)) % len(self.peers)]
        if name == "ping":
            self.registry.ping(peer, self.now)
        else:
            getattr(self.registry, name)(peer, *rest)
        if name == "disconnect":
            self.peers.remove(peer)

    def _wait(self, seconds: float) -> None:
        """Time goes by; the alarm rings whenever it is due."""
        end = self.now + seconds
        while self.alarm <= end:
            self.now = max(self.now, self.alarm)
            self.registry.expire(self.now)
            self.look()
        self.now = end

    def look(self) -> None:
        self.journal.record(self.registry.node_news(self.journal.cluster, self.now))
        self.journal.record(self.registry.topic_news(self.journal.cluster, self.now))
        self.alarm = self.registry.next_expiry(self.now)

    def shown(self) -> Cluster:
        """What the HTTP API says."""
        nodes = self.registry.nodes(self.now)
        topics = {name: Topic(set(self.registry.channels(name))) for name in self.registry.topics()}
        for peer, holds in nodes:
            for topic, hidden in holds.items():
                entry = topics[topic].nodes
                address = node_address(peer.node)
                entry[address] = hidden and entry.get(address, True)
        return Cluster({node_address(peer.node): peer.node for peer, _ in nodes}, topics)


@given(STEPS)
def test_the_journal_has_what_the_api_shows(steps: list[tuple[object, ...]]) -> None:
    world = World()
    for step in steps[: len(steps) // 3]:
        if step[0] not in ("look", "wait"):
            world.do(step)
    world.registry.watch(lambda: None, world.now)
    world.look()
    assert world.journal.cluster == world.shown()
    for step in steps[len(steps) // 3 :]:
        world.do(step)
    world.look()
    assert world.journal.cluster == world.shown()
