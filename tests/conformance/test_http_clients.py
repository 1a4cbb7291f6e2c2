"""Every call of both HTTP APIs through both clients, against our daemons and the originals."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.polling import eventually
from harness.wire import LookupWire, Wire
from nsqgw.errors import ConnectionClosed, HttpError
from nsqgw.http import LookupdHttp, LookupdHttpAsync, NsqdHttp, NsqdHttpAsync

OK = "OK"


@dataclass(frozen=True)
class Scene:
    """One call: what is done before, its arguments, and what it gives: a value, a check, or a code.

    `before` and `arguments` write T for the topic of the scene. `status` is that of the refusal.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    before: tuple[tuple[Any, ...], ...] = ()
    gives: Any = None
    refusal: tuple[int, str] | None = None


TOPIC = (("create_topic", "T"),)
CHANNEL = (*TOPIC, ("create_channel", "T", "c"))
MESSAGES = (*TOPIC, ("publish_many", "T", [b"a", b"bc"]))
NO_TOPIC = (404, "TOPIC_NOT_FOUND")
NO_CHANNEL = (404, "CHANNEL_NOT_FOUND")


def only_topic(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda stats: len(stats.topics) == 1 and check(stats.topics[0])


NSQD = [
    Scene("ping"),
    Scene(
        "info", gives=lambda info: info.version and info.tcp_port > 0 and info.max_heartbeat_interval == 60
    ),
    Scene(
        "stats", gives=lambda stats: stats.health == OK and stats.start_time > 0 and stats.memory is not None
    ),
    Scene("stats", ("T",), gives=lambda stats: stats.topics == ()),
    Scene("stats", ("T",), {"include_mem": False}, gives=lambda stats: stats.memory is None),
    Scene("stats", ("T",), before=MESSAGES, gives=only_topic(lambda t: (t.depth, t.message_bytes) == (2, 3))),
    Scene("stats", ("T", "c"), before=CHANNEL, gives=only_topic(lambda t: t.channels[0].channel_name == "c")),
    Scene("stats_text", gives=lambda text: text.startswith("nsqd v") and "Health: OK" in text),
    Scene("stats_text", ("T",), {"include_mem": False}, gives=lambda text: "Memory" not in text),
    Scene("publish", ("T", b"x")),
    Scene("publish", ("T", b"x"), {"delay": 1.5}),
    Scene("publish", ("T", b"x"), {"delay": 86400.0}, refusal=(400, "INVALID_DEFER")),
    Scene("publish", ("T", b""), refusal=(400, "MSG_EMPTY")),
    Scene("publish", ("T", bytes(2_000_000)), refusal=(413, "MSG_TOO_BIG")),
    Scene("publish_many", ("T", [b"a", b"b"])),
    Scene("publish_many", ("T", [b"a", b""]), refusal=(413, "BAD_MESSAGE")),
    Scene("create_topic", ("T",)),
    Scene("create_topic", ("T#ephemeral",)),
    Scene("delete_topic", ("T",), before=TOPIC),
    Scene("delete_topic", ("T",), refusal=NO_TOPIC),
    Scene("empty_topic", ("T",), before=MESSAGES),
    Scene("empty_topic", ("T",), refusal=NO_TOPIC),
    Scene("pause_topic", ("T",), before=TOPIC),
    Scene("pause_topic", ("T",), refusal=NO_TOPIC),
    Scene("unpause_topic", ("T",), before=TOPIC),
    Scene("unpause_topic", ("T",), refusal=NO_TOPIC),
    Scene("create_channel", ("T", "c#ephemeral"), before=TOPIC),
    Scene("create_channel", ("T", "c"), refusal=NO_TOPIC),
    Scene("delete_channel", ("T", "c"), before=CHANNEL),
    Scene("delete_channel", ("T", "c"), before=TOPIC, refusal=NO_CHANNEL),
    Scene("empty_channel", ("T", "c"), before=CHANNEL),
    Scene("empty_channel", ("T", "c"), refusal=NO_TOPIC),
    Scene("pause_channel", ("T", "c"), before=CHANNEL),
    Scene("pause_channel", ("T", "c"), before=TOPIC, refusal=NO_CHANNEL),
    Scene("unpause_channel", ("T", "c"), before=CHANNEL),
    Scene("unpause_channel", ("T", "c"), refusal=NO_TOPIC),
    Scene("get_option", ("max_msg_size",), gives=1048576),
    Scene("get_option", ("nsqlookupd_tcp_addresses",), gives=[]),
    Scene("get_option", ("broadcast_address",), gives="127.0.0.1"),
    Scene("get_option", ("nonsense",), refusal=(400, "INVALID_OPTION")),
    Scene("set_option", ("log_level", "info"), gives=2),
    Scene("set_option", ("nsqlookupd_tcp_addresses", ()), gives=[]),
    Scene("set_option", ("log_level", "loud"), refusal=(400, "INVALID_VALUE")),
    Scene("set_option", ("max_msg_size", "5"), refusal=(400, "INVALID_OPTION")),
]
GO_ONLY = [
    Scene("set_block_rate", (0,)),
    Scene("free_memory"),
    Scene("pprof", ("goroutine",), gives=lambda profile: profile.startswith(b"\x1f\x8b")),
]
LOOKUPD = [
    Scene("ping"),
    Scene("info", gives=lambda info: info.version.count(".") == 2),
    Scene(
        "lookup",
        ("T",),
        before=CHANNEL,
        gives=lambda found: (found.channels, found.producers) == (("c",), ()),
    ),
    Scene("lookup", ("T",), refusal=NO_TOPIC),
    Scene("topics", before=TOPIC, gives=lambda topics: "T" in topics),
    Scene("channels", ("T",), before=CHANNEL, gives=("c",)),
    Scene("channels", ("T",), gives=()),
    Scene("nodes", gives=()),
    Scene("create_topic", ("T",)),
    Scene("delete_topic", ("T",)),
    Scene("create_channel", ("T", "c")),
    Scene("delete_channel", ("T", "c"), before=CHANNEL),
    Scene("delete_channel", ("T", "c"), refusal=NO_CHANNEL),
    Scene("tombstone", ("T", "127.0.0.1:4151")),
    Scene("debug", gives={}),
]


class Awaited:
    """An async client as a blocking one: each call in a loop of its own."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **options: asyncio.run(getattr(self.client, name)(*arguments, **options))


@pytest.fixture(params=["blocking", "async"])
def nsqd_client(request: pytest.FixtureRequest, broker: Daemon) -> Iterator[Any]:
    if request.param == "async":
        yield Awaited(NsqdHttpAsync(broker.http_address))
    else:
        with NsqdHttp(broker.http_address) as client:
            yield client


@pytest.fixture(params=["blocking", "async"])
def lookupd_client(request: pytest.FixtureRequest, lookupd: Daemon) -> Iterator[Any]:
    if request.param == "async":
        yield Awaited(LookupdHttpAsync(lookupd.http_address))
    else:
        with LookupdHttp(lookupd.http_address) as client:
            yield client


@pytest.fixture
def lookupd(start_nsqlookupd: Callable[..., Daemon]) -> Daemon:
    return start_nsqlookupd()


def named(value: Any, topic: str) -> Any:
    return value.replace("T", topic, 1) if isinstance(value, str) and value.startswith("T") else value


def play(kind: str, client: Any, scene: Scene, topic: str) -> None:
    for name, *arguments in scene.before:
        getattr(client, name)(*(named(argument, topic) for argument in arguments))
    arguments = [named(argument, topic) for argument in scene.arguments]
    if scene.refusal is not None:
        # The original refuses what is too big unread and hangs up: its reset may overtake its answer.
        unread = kind == "real" and scene.refusal[1] == "MSG_TOO_BIG"
        with pytest.raises((HttpError, ConnectionClosed) if unread else HttpError) as raised:
            getattr(client, scene.name)(*arguments, **scene.options)
        if isinstance(raised.value, HttpError):
            assert (raised.value.status, raised.value.code) == scene.refusal
        assert len(str(raised.value).splitlines()) == 1
        return
    result = getattr(client, scene.name)(*arguments, **scene.options)
    if callable(scene.gives):
        assert scene.gives(result), result
    else:
        assert result == scene.gives


def by_name(scene: Scene) -> str:
    return f"{scene.name}-{scene.refusal[1]}" if scene.refusal else scene.name


@pytest.mark.parametrize("scene", NSQD, ids=by_name)
def test_nsqd(kind: str, nsqd_client: Any, topic: str, scene: Scene) -> None:
    try:
        play(kind, nsqd_client, scene, topic)
    finally:
        if scene.arguments == ("T#ephemeral",):
            nsqd_client.delete_topic(f"{topic}#ephemeral")


@pytest.mark.parametrize("scene", GO_ONLY, ids=by_name)
def test_what_only_go_has(kind: str, nsqd_client: Any, topic: str, scene: Scene) -> None:
    if scene.name == "pprof" and kind == "compat":
        assert b"thread MainThread" in nsqd_client.pprof("goroutine")
    else:
        play(kind, nsqd_client, scene, topic)


@pytest.mark.parametrize("scene", LOOKUPD, ids=by_name)
def test_nsqlookupd(kind: str, lookupd_client: Any, scene: Scene) -> None:
    play(kind, lookupd_client, scene, "T")


def test_the_profile_of_nsqlookupd(kind: str, lookupd_client: Any) -> None:
    expected = b"\x1f\x8b" if kind == "real" else b"heap_objects"
    assert lookupd_client.pprof("heap").startswith(expected)


@pytest.mark.parametrize(
    ("client", "scenes"),
    [(NsqdHttp, NSQD + GO_ONLY), (LookupdHttp, [*LOOKUPD, Scene("pprof")])],
)
def test_no_call_is_without_a_scene(client: type, scenes: list[Scene]) -> None:
    calls = {name for name, _ in inspect.getmembers(client, inspect.isfunction) if name in vars(client)}
    assert {scene.name for scene in scenes} == calls


def test_connections_are_counted_in_stats(nsqd_client: Any, connect: Callable[..., Wire], topic: str) -> None:
    wire = connect()
    wire.identify(client_id="me", user_agent="scene/1")
    wire.send(b"SUB %s c\n" % topic.encode())

    def clients() -> Any:
        stats = nsqd_client.stats(topic)
        return stats.topics and stats.topics[0].channels and stats.topics[0].channels[0].clients

    (client,) = eventually(clients, what="the subscription")
    assert (client.client_id, client.user_agent, client.state, client.tls) == ("me", "scene/1", 3, False)
    assert nsqd_client.stats(topic, include_clients=False).topics[0].channels[0].clients == ()


def test_a_registered_node(lookupd: Daemon, lookupd_client: Any) -> None:
    with LookupWire(lookupd.tcp_address) as wire:
        wire.identify(broadcast_address="::1", tcp_port=4150, http_port=4151, hostname="h")
        wire.ask("REGISTER t c")
        (node,) = lookupd_client.lookup("t").producers
        assert (node.tcp_address, node.http_address) == ("[::1]:4150", "[::1]:4151")
        assert node.hostname == "h"
        (known,) = lookupd_client.nodes()
        assert (known.tcp_address, known.topics, known.tombstones) == ("[::1]:4150", ("t",), (False,))
        assert {key: len(nodes) for key, nodes in lookupd_client.debug().items()} == {
            "client::": 1,
            "topic:t:": 1,
            "channel:t:c": 1,
        }


def test_a_tombstone_by_the_node_itself(lookupd: Daemon, lookupd_client: Any) -> None:
    with LookupWire(lookupd.tcp_address) as wire:
        wire.identify(broadcast_address="node", tcp_port=4150, http_port=4151)
        wire.ask("REGISTER t")
        (node,) = lookupd_client.nodes()
        lookupd_client.tombstone("t", node)
        assert lookupd_client.lookup("t").producers == ()
        assert lookupd_client.nodes()[0].tombstones == (True,)
        assert lookupd_client.debug()["topic:t:"][0].tombstoned
