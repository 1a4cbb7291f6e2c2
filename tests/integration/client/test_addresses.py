"""Where an nsqd may listen, and what of our settings reaches it: with both kinds."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compat.threaded import ThreadedNsqd
from harness.daemons import Daemon
from harness.http import channel_stats
from harness.polling import eventually_async
from nsqgw import ConnectionConfig, Consumer, Message, Producer


async def works(address: str, daemon: Daemon) -> None:
    seen: list[Message] = []
    async with (
        Consumer("t", "ch", seen.append, nsqd_tcp_addresses=[address]) as consumer,
        Producer([address]) as producer,
    ):
        await producer.publish_many("t", [b"%d" % number for number in range(100)])
        await eventually_async(lambda: len(seen) == 100)
        assert {message.nsqd_address for message in seen} == {address}
        assert [connection.address for connection in consumer.stats.connections] == [address]
        assert producer.stats.connected == (address,)
    assert channel_stats(daemon.http_address, "t", "ch")["depth"] == 0


async def test_a_unix_socket(start_nsqd: Callable[..., Daemon], tmp_path: Path) -> None:
    path = str(tmp_path / "nsqd.sock")
    await works(path, start_nsqd(tcp_address=path))


async def test_a_unix_socket_that_is_not_there_yet(start_nsqd: Callable[..., Daemon], tmp_path: Path) -> None:
    """Its path is kept trying, as any address is; also after nsqd was killed and its socket left over."""
    path = str(tmp_path / "nsqd.sock")
    quick: dict[str, Any] = {
        "reconnect_min_delay": 0.01,
        "reconnect_max_delay": 0.05,
        "on_fact": lambda fact: None,
    }
    async with Producer([path], **quick) as producer:
        daemon = start_nsqd(tcp_address=path)
        await producer.publish("t", b"x", timeout=15)
        daemon.stop()
        await eventually_async(lambda: producer.stats.connected == ())
        Path(path).unlink(missing_ok=True)
        daemon.start()
        await producer.publish("t", b"x", timeout=15)


async def test_ipv6(start_nsqd: Callable[..., Daemon]) -> None:
    daemon = start_nsqd(tcp_address="[::1]:0")
    assert daemon.tcp_address.startswith("[::1]:")
    await works(daemon.tcp_address, daemon)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("first", [socket.AF_INET, socket.AF_INET6])
async def test_a_name_with_addresses_of_both_kinds(
    start_nsqd: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch, host: str, first: socket.AddressFamily
) -> None:
    """It leads to nsqd on whichever it listens, in whatever order the resolver names them."""
    resolve = socket.getaddrinfo

    def both(name: Any, port: Any, *rest: Any, **more: Any) -> list[Any]:
        if name != "dual.example":
            return resolve(name, port, *rest, **more)
        found = [resolve(number, port, type=socket.SOCK_STREAM)[0] for number in ("127.0.0.1", "::1")]
        return sorted(found, key=lambda entry: entry[0] != first)

    daemon = start_nsqd(tcp_address=f"{host}:0")
    monkeypatch.setattr(socket, "getaddrinfo", both)
    await works(f"dual.example:{daemon.tcp_address.rpartition(':')[2]}", daemon)


async def test_localhost(start_nsqd: Callable[..., Daemon]) -> None:
    daemon = start_nsqd()
    await works(f"localhost:{daemon.tcp_address.rpartition(':')[2]}", daemon)


async def test_what_is_asked_for_reaches_nsqd(start_nsqd: Callable[..., Daemon]) -> None:
    """/stats shows it all, except the time-out of messages: the tests of lost connections see that."""
    daemon = start_nsqd()
    connection = ConnectionConfig(
        client_id="me", hostname="my.host", user_agent="mine/1", sample_rate=42, deflate=True
    )
    source = [daemon.tcp_address]
    async with Consumer("t", "ch", print, nsqd_tcp_addresses=source, connection=connection) as consumer:
        await consumer.wait_connected(15)
        (client,) = channel_stats(daemon.http_address, "t", "ch")["clients"]
    asked = {
        "client_id": "me",
        "hostname": "my.host",
        "user_agent": "mine/1",
        "sample_rate": 42,
        "deflate": True,
    }
    assert {name: client[name] for name in asked} == asked


async def test_region_and_zone_reach_nsqd(nsqd: ThreadedNsqd) -> None:
    """Ours: the original knows of them in versions behind 1.3.0 only, and takes no offence before."""
    connection = ConnectionConfig(topology_region="eu", topology_zone="eu-2")
    source = [nsqd.tcp_address]
    async with Consumer("t", "ch", print, nsqd_tcp_addresses=source, connection=connection) as consumer:
        await consumer.wait_connected(15)
        (client,) = channel_stats(nsqd.http_address, "t", "ch")["clients"]
    assert (client["topology_region"], client["topology_zone"]) == ("eu", "eu-2")


async def test_a_sample_rate_leaves_out_messages(start_nsqd: Callable[..., Daemon]) -> None:
    """nsqd finishes the others unseen."""
    daemon = start_nsqd()
    connection = ConnectionConfig(sample_rate=50)
    seen: list[Message] = []
    source = [daemon.tcp_address]
    async with (
        Consumer("t", "ch", seen.append, nsqd_tcp_addresses=source, connection=connection) as consumer,
        Producer(source) as producer,
    ):
        await consumer.wait_connected(15)
        await producer.publish_many("t", [b"x"] * 1000)
        await eventually_async(lambda: channel_stats(daemon.http_address, "t", "ch")["depth"] == 0)
        await eventually_async(lambda: channel_stats(daemon.http_address, "t", "ch")["in_flight_count"] == 0)
        assert 300 < len(seen) < 700
