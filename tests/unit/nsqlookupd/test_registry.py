"""The registry with a clock turned by hand; the numbers are statements of the nsqlookupd spec."""

from __future__ import annotations

import pytest

from compat.nsqlookupd.registry import CLIENT, Peer, Registration, Registry
from nsqgw.protocol.lookup import NodeInfo

TIMEOUT, LIFETIME = 300.0, 45.0


def node(host: str = "node") -> NodeInfo:
    return NodeInfo(host, 4150, 4151, "1.3.0")


@pytest.fixture
def registry() -> Registry:
    return Registry(TIMEOUT, LIFETIME)


@pytest.fixture
def peer(registry: Registry) -> Peer:
    return registry.identify("10.0.0.1:50000", node(), now=0.0)


def test_c_lkd_7_a_channel_registers_its_topic_too(registry: Registry, peer: Peer) -> None:
    changes = registry.register(peer, "t", "c")
    assert changes == [Registration("channel", "t", "c"), Registration("topic", "t", "")]
    assert registry.topics() == ["t"]
    assert registry.channels("t") == ["c"]
    assert registry.producers("t", 0.0) == [peer]
    assert registry.nodes(0.0) == [(peer, {"t": False})]
    assert registry.register(peer, "t", "c") == []


def test_c_lkd_9_a_disconnect_leaves_names_without_producers(registry: Registry, peer: Peer) -> None:
    registry.register(peer, "t", "c#ephemeral")
    changes = registry.disconnect(peer)
    assert set(changes) == {
        CLIENT,
        Registration("channel", "t", "c#ephemeral"),
        Registration("topic", "t", ""),
    }
    assert registry.knows("t")
    assert registry.channels("t") == ["c#ephemeral"]
    assert registry.producers("t", 0.0) == []
    assert registry.nodes(0.0) == []
    assert registry.disconnect(peer) == []


def test_c_lkd_10_and_11_unregister(registry: Registry, peer: Peer) -> None:
    registry.register(peer, "t", "c")
    registry.unregister(peer, "t", "c")
    assert registry.channels("t") == ["c"]
    assert registry.producers("t", 0.0) == [peer]
    registry.register(peer, "t", "c")
    changes = registry.unregister(peer, "t", None)
    assert changes == [Registration("channel", "t", "c"), Registration("topic", "t", "")]
    assert registry.producers("t", 0.0) == []
    assert registry.unregister(peer, "unknown", "c") == []


def test_c_lkd_12_an_ephemeral_name_goes_with_its_last_producer(registry: Registry, peer: Peer) -> None:
    other = registry.identify("10.0.0.2:50000", node("other"), now=0.0)
    for each in peer, other:
        registry.register(each, "t#ephemeral", "c#ephemeral")
    registry.unregister(peer, "t#ephemeral", "c#ephemeral")
    assert registry.channels("t#ephemeral") == ["c#ephemeral"]
    registry.unregister(other, "t#ephemeral", "c#ephemeral")
    assert registry.channels("t#ephemeral") == []
    registry.unregister(peer, "t#ephemeral", None)
    assert registry.knows("t#ephemeral")
    registry.unregister(other, "t#ephemeral", None)
    assert not registry.knows("t#ephemeral")


def test_c_lkd_18_a_tombstone_hides_for_its_topic_and_lifetime(registry: Registry, peer: Peer) -> None:
    registry.register(peer, "t", None)
    registry.register(peer, "u", None)
    registry.tombstone("t", "node:4151", now=10.0)
    assert registry.producers("t", 10.0 + LIFETIME - 0.001) == []
    assert registry.producers("u", 10.0) == [peer]
    assert registry.nodes(10.0) == [(peer, {"t": True, "u": False})]
    assert registry.producers("t", 10.0 + LIFETIME) == [peer]


@pytest.mark.parametrize(
    ("topic", "name"), [("t", "node:4150"), ("t", "other:4151"), ("unknown", "node:4151")]
)
def test_a_tombstone_that_matches_nothing(registry: Registry, peer: Peer, topic: str, name: str) -> None:
    registry.register(peer, "t", None)
    registry.tombstone(topic, name, now=0.0)
    assert registry.producers("t", 0.0) == [peer]


def test_registering_again_keeps_the_tombstone_and_c_lkd_19_unregistering_ends_it(
    registry: Registry, peer: Peer
) -> None:
    registry.register(peer, "t", None)
    registry.tombstone("t", "node:4151", now=0.0)
    registry.register(peer, "t", None)
    assert registry.producers("t", 1.0) == []
    registry.unregister(peer, "t", None)
    assert registry.producers("t", LIFETIME + 1) == []
    registry.register(peer, "t", None)
    assert registry.producers("t", 1.0) == [peer]


def test_c_lkd_20_silence_hides_and_a_ping_brings_back(registry: Registry, peer: Peer) -> None:
    registry.register(peer, "t", None)
    assert registry.producers("t", TIMEOUT) == [peer]
    assert registry.producers("t", TIMEOUT + 0.001) == []
    assert registry.nodes(TIMEOUT + 0.001) == []
    assert registry.knows("t")
    registry.ping(peer, TIMEOUT + 1)
    assert registry.producers("t", TIMEOUT + 1) == [peer]


def test_one_address_announced_twice_is_two_producers(registry: Registry, peer: Peer) -> None:
    twin = registry.identify("10.0.0.1:50001", node(), now=0.0)
    for each in peer, twin:
        registry.register(each, "t", None)
    assert registry.producers("t", 0.0) == [peer, twin]
    registry.disconnect(twin)
    assert registry.producers("t", 0.0) == [peer]


def test_c_lkd_16_and_17_deletion(registry: Registry, peer: Peer) -> None:
    registry.create_channel("t", "c")
    assert not registry.delete_channel("t", "d")
    assert not registry.delete_channel("unknown", "c")
    assert registry.delete_channel("t", "c")
    registry.create_channel("t", "c")
    registry.delete_topic("t")
    registry.delete_topic("t")
    assert (registry.topics(), registry.channels("t")) == ([], [])


def test_a_star_is_a_name_like_any_other(registry: Registry, peer: Peer) -> None:
    registry.register(peer, "t", "c")
    registry.delete_topic("*")
    assert registry.topics() == ["t"]
    assert (registry.knows("*"), registry.channels("*"), registry.producers("*", 0.0)) == (False, [], [])
