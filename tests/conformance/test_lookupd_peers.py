"""nsqd and nsqlookupd together: what nsqd announces and asks (nsqlookupd section 4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.daemons import Daemon
from harness.http import call, channel_stats, get, post, stats
from harness.polling import eventually
from harness.wire import Wire

StartDaemon = Callable[..., Daemon]


@pytest.fixture
def lookupd(start_nsqlookupd: StartDaemon) -> Daemon:
    return start_nsqlookupd()


def registered(lookupd: Daemon) -> set[tuple[str, ...]]:
    """What is registered with a live producer: (topic,) and (topic, channel)."""
    keys = get(lookupd.http_address, "/debug").json
    pairs = (key.split(":") for key in keys)
    return {tuple(filter(None, rest)) for category, *rest in pairs if category in ("topic", "channel")}


def test_nsqd_announces_itself_its_topics_and_channels(lookupd: Daemon, start_nsqd: StartDaemon) -> None:
    nsqd = start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))
    (node,) = eventually(lambda: get(lookupd.http_address, "/nodes").json["producers"])
    assert nsqd.tcp_address.endswith(f":{node['tcp_port']}")
    assert nsqd.http_address.endswith(f":{node['http_port']}")
    assert (node["broadcast_address"], node["version"]) == ("127.0.0.1", "1.3.0")
    with Wire(nsqd.tcp_address) as wire:
        wire.ok(b"PUB made-by-pub", b"x")
        wire.subscribe("made-by-sub", "ch#ephemeral")
        expected = {("made-by-pub",), ("made-by-sub",), ("made-by-sub", "ch#ephemeral")}
        eventually(lambda: registered(lookupd) == expected)
    eventually(lambda: registered(lookupd) == {("made-by-pub",), ("made-by-sub",)})
    post(nsqd.http_address, "/topic/delete?topic=made-by-pub")
    eventually(lambda: registered(lookupd) == {("made-by-sub",)})


def test_c_lkd_21_new_topic_gets_the_channels_lookupd_knows(lookupd: Daemon, start_nsqd: StartDaemon) -> None:
    for channel in "one", "two", "three%23ephemeral":
        post(lookupd.http_address, f"/channel/create?topic=t&channel={channel}")
    nsqd = start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))
    eventually(lambda: get(lookupd.http_address, "/nodes").json["producers"])
    assert post(nsqd.http_address, "/pub?topic=t", b"first").status == 200
    (topic,) = stats(nsqd.http_address)["topics"]
    assert [channel["channel_name"] for channel in topic["channels"]] == ["one", "two"]
    for channel in "one", "two":
        eventually(lambda name=channel: channel_stats(nsqd.http_address, "t", name)["depth"] == 1)


def test_c_http_22_peers_change_without_restart(lookupd: Daemon, start_nsqd: StartDaemon) -> None:
    nsqd = start_nsqd()
    post(nsqd.http_address, "/topic/create?topic=t")
    path = "/config/nsqlookupd_tcp_addresses"
    call(nsqd.http_address, "PUT", path, f'["{lookupd.tcp_address}"]'.encode())
    eventually(lambda: registered(lookupd) == {("t",)}, timeout=30)
    call(nsqd.http_address, "PUT", path, b"[]")
    eventually(lambda: get(lookupd.http_address, "/nodes").json["producers"] == [], timeout=30)


def test_c_lkd_22_everything_is_registered_again_after_lookupd_restarts(
    lookupd: Daemon, start_nsqd: StartDaemon
) -> None:
    nsqd = start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))
    post(nsqd.http_address, "/topic/create?topic=t")
    post(nsqd.http_address, "/channel/create?topic=t&channel=c")
    eventually(lambda: registered(lookupd) == {("t",), ("t", "c")})
    lookupd.stop()
    lookupd.start()
    assert registered(lookupd) == set()

    # nsqd notices at its next command that the connection is dead, and connects again at one after that:
    # a PING every 15 s, or as here news of a topic.
    def news() -> bool:
        post(nsqd.http_address, "/topic/create?topic=news")
        post(nsqd.http_address, "/topic/delete?topic=news")
        return registered(lookupd) == {("t",), ("t", "c")}

    eventually(news, timeout=40)


def test_stopped_nsqd_leaves_lookupd_at_once(lookupd: Daemon, start_nsqd: StartDaemon) -> None:
    nsqd = start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))
    post(nsqd.http_address, "/topic/create?topic=t")
    eventually(lambda: registered(lookupd) == {("t",)})
    nsqd.stop()
    eventually(lambda: get(lookupd.http_address, "/lookup?topic=t").json["producers"] == [])
