"""Several topics, advertised addresses that must be mapped, and news from a feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from compat.threaded import ThreadedNsqlookupd
from harness.consuming import Subject
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd
from harness.wire import LookupWire
from nsqgw import Consumer, Message
from nsqgw.connection.address_map import AddressMap
from nsqgw.consumer.topics import matches, split_topics
from nsqgw.errors import ConfigError
from nsqgw.instrument import ConnectFailed


def test_names_and_patterns_are_told_apart() -> None:
    assert split_topics("events") == (("events",), ())
    assert split_topics(["a", "logs.*", "a", "x?", "[ab]c"]) == (("a",), ("logs.*", "x?", "[ab]c"))


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ([], "no topic given"),
        ("bad topic", "not valid"),
        (["good", "bad topic"], "not valid"),
        ("bad topic*", "not valid"),
        (5, "must be a str"),
        ([5], "must be a str"),
        ("logs.*", "set lookupd_http_addresses"),
    ],
)
def test_wrong_topics(topic: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Consumer(topic, "c", print, nsqd_tcp_addresses=["127.0.0.1:4150"])


async def test_two_topics_of_one_nsqd_share_max_in_flight() -> None:
    seen: list[tuple[str, bytes]] = []

    def handle(message: Message) -> None:
        seen.append((message.topic, message.body))

    async with ScriptedNsqd() as fake:
        consumer = Consumer(["a", "b"], "c", handle, nsqd_tcp_addresses=[fake.address], max_in_flight=10)
        async with consumer:
            first, second = await fake.session(0), await fake.session(1)
            for session in (first, second):
                await session.seen("RDY 5")
            topics = {session.lines("SUB")[0].split()[1]: session for session in (first, second)}
            assert set(topics) == {"a", "b"}
            topics["a"].deliver(1, body=b"for a")
            topics["b"].deliver(2, body=b"for b")
            await eventually_async(lambda: len(seen) == 2)
    assert sorted(seen) == [("a", b"for a"), ("b", b"for b")]


def test_the_address_map_knows_ports_and_hosts() -> None:
    reachable = AddressMap({"nsqd-1:4150": "127.0.0.1:14150", "nsqd-2": "10.0.0.2"})
    assert reachable("nsqd-1:4150") == "127.0.0.1:14150"
    assert reachable("nsqd-1:4151") == "nsqd-1:4151"
    assert reachable("nsqd-2:4150") == "10.0.0.2:4150"
    assert reachable("other:4150") == "other:4150"


@pytest.mark.parametrize("entries", [{"a": "b:1"}, {"a:1": "b"}, {"a:1": 5}, {5: "a:1"}, ["a:1"], "a:1"])
def test_a_wrong_address_map(entries: Any) -> None:
    with pytest.raises(ConfigError, match="address_map"):
        Consumer("t", "c", print, nsqd_tcp_addresses=["127.0.0.1:4150"], address_map=entries)


class Feed:
    """A feed that tells what the test says."""

    def __init__(self) -> None:
        self.followers: dict[str, Callable[[frozenset[str]], None]] = {}

    def follow(self, topic: str, on_found: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        self.followers[topic] = on_found
        return lambda: self.followers.clear()


async def test_a_feed_brings_an_nsqd_at_once_by_its_mapped_address() -> None:
    feed = Feed()
    async with ScriptedNsqd() as fake, ScriptedNsqd() as fixed:
        port = fake.address.rpartition(":")[2]
        options: dict[str, Any] = {"address_map": {"nsqd-7f9.invalid": "127.0.0.1"}, "topology_feed": feed}
        async with Subject(print, fixed, **options):
            await fixed.subscribed()
            feed.followers["t"](frozenset([f"nsqd-7f9.invalid:{port}"]))
            await fake.subscribed()
        assert feed.followers == {}


async def test_a_name_that_means_nothing_here_is_explained() -> None:
    feed = Feed()
    async with ScriptedNsqd() as fixed, Subject(print, fixed, topology_feed=feed) as consumer:
        await fixed.subscribed()
        feed.followers["t"](frozenset(["nsqd-7f9.invalid:4150"]))
        await eventually_async(lambda: consumer.told(ConnectFailed))
        text = str(consumer.told(ConnectFailed)[0].error)
    for words in ("nsqd-7f9.invalid:4150", "-broadcast-address", "address_map"):
        assert words in text


async def test_a_pattern_joins_what_matches_also_later(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd
) -> None:
    """Topics that are there, one that comes later, none that does not match, no ephemeral one by chance."""
    options: dict[str, Any] = {"lookupd_poll_interval": 0.05, "lookupd_poll_jitter": 0.0}
    wire = LookupWire(nsqlookupd.tcp_address)
    host, port = fake.address.rsplit(":", 1)
    with wire:
        wire.identify(broadcast_address=host, tcp_port=int(port), http_port=1)
        for topic in ("logs.web", "metrics", "logs.tmp#ephemeral"):
            assert wire.ask(f"REGISTER {topic}") == b"OK"
        lookupds = [nsqlookupd.http_address]
        consumer = Consumer(["logs.*", "fixed"], "c", print, lookupd_http_addresses=lookupds, **options)
        async with consumer:
            assert (await fake.subscribed()).lines("SUB") == ["SUB logs.web c"]
            assert wire.ask("REGISTER logs.db") == b"OK"
            assert (await fake.subscribed(1)).lines("SUB") == ["SUB logs.db c"]
            assert len(fake.sessions) == 2


@pytest.mark.parametrize(
    ("topic", "pattern", "expected"),
    [
        ("logs.web", "logs.*", True),
        ("logs.web", "logs.???", True),
        ("LOGS.web", "logs.*", False),
        ("logs", "logs.*", False),
        ("a1", "a[0-9]", True),
        ("a#ephemeral", "*", False),
        ("a#ephemeral", "*#ephemeral", True),
    ],
)
def test_what_a_pattern_matches(topic: str, pattern: str, expected: bool) -> None:
    assert matches(topic, pattern) is expected
