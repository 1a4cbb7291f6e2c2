"""The watcher of nsqlookupds that tell nothing by themselves: ours played dumb, and the originals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateways.cli.main import main
from gateways.topology.watcher import Watcher, WatcherConfig
from harness.command import Nsqgw
from harness.daemons import Daemon
from harness.http import post
from harness.polling import eventually_async
from harness.wire import LookupWire
from nsqgw import Consumer, Message, Producer
from nsqgw.errors import DiscoveryError
from nsqgw.topology.cluster import Cluster

RARELY = 3600.0
Start = Callable[..., Daemon]


def config(*lookupds: Daemon, **settings: Any) -> WatcherConfig:
    addresses = tuple(lookupd.http_address for lookupd in lookupds)
    return WatcherConfig(lookupd_http_addresses=addresses, poll_interval=0.02, **settings)


def node(wire: LookupWire, port: int, *commands: str) -> LookupWire:
    wire.identify(broadcast_address="127.0.0.1", tcp_port=port, http_port=port + 1)
    for command in commands:
        assert wire.ask(command) == b"OK"
    return wire


def silent(watcher: Watcher) -> float:
    """How many nsqlookupds do not answer, as /metrics has it."""
    samples = {sample.name: sample.value for metric in watcher.metrics() for sample in metric.samples}
    return samples["nsqgw_topology_silent_lookupds"]


async def test_everything_that_happens_is_told(start_nsqlookupd: Start) -> None:
    lookupd = start_nsqlookupd(tombstone_lifetime=0.3)
    watcher = Watcher(config(lookupd, settle=0.0))
    names: list[str] = []
    watcher.journal.listeners.add(lambda changes: names.extend(change.name for change in changes))
    await watcher.start()
    try:
        with node(LookupWire(lookupd.tcp_address), 4150) as wire:
            await eventually_async(lambda: names == ["node_up"])
            assert wire.ask("REGISTER t c") == b"OK"
            await eventually_async(lambda: "registered" in names and "channel_created" in names)
            await asyncio.to_thread(
                post, lookupd.http_address, "/topic/tombstone?topic=t&node=127.0.0.1:4151"
            )
            await eventually_async(lambda: names[-2:] == ["tombstoned", "tombstone_ended"])
            assert wire.ask("UNREGISTER t") == b"OK"
            await eventually_async(lambda: names[-1] == "unregistered")
            await asyncio.to_thread(post, lookupd.http_address, "/channel/delete?topic=t&channel=c")
            await eventually_async(lambda: names[-1] == "channel_deleted")
            await asyncio.to_thread(post, lookupd.http_address, "/topic/delete?topic=t")
            await eventually_async(lambda: names[-1] == "topic_deleted")
        await eventually_async(lambda: names[-1] == "node_down")
    finally:
        await watcher.stop()
    assert watcher.journal.cluster == Cluster()


async def test_one_dead_nsqlookupd_takes_nothing_away(start_nsqlookupd: Start) -> None:
    first, second = start_nsqlookupd(), start_nsqlookupd()
    watcher = Watcher(config(first, second, settle=0.0))
    wires = [
        node(LookupWire(first.tcp_address), 4150, "REGISTER t"),
        node(LookupWire(second.tcp_address), 4250, "REGISTER t"),
    ]
    await watcher.start()
    try:
        assert set(watcher.journal.cluster.nodes) == {"127.0.0.1:4150", "127.0.0.1:4250"}
        first.stop()
        await eventually_async(lambda: silent(watcher) == 1)
        assert wires[1].ask("REGISTER later") == b"OK"
        await eventually_async(lambda: "later" in watcher.journal.cluster.topics)
        assert set(watcher.journal.cluster.nodes) == {"127.0.0.1:4150", "127.0.0.1:4250"}
        assert watcher.ready() is None
        second.stop()
        await eventually_async(lambda: watcher.ready() is not None)
        assert set(watcher.journal.cluster.nodes) == {"127.0.0.1:4150", "127.0.0.1:4250"}
    finally:
        await watcher.stop()
        for wire in wires:
            wire.close()


async def test_a_consumer_hears_of_a_new_nsqd_without_a_poll_of_its_own(
    start_nsqlookupd: Start, start_nsqd: Start
) -> None:
    lookupd = start_nsqlookupd()
    watcher = Watcher(config(lookupd, listen="127.0.0.1:0"))
    await watcher.start()
    got: list[bytes] = []

    def handle(message: Message) -> None:
        got.append(message.body)

    consumer = Consumer(
        "events",
        "ch",
        handle,
        lookupd_http_addresses=[lookupd.http_address],
        topology_http_addresses=[watcher.address],
        lookupd_poll_interval=RARELY,
    )
    async with consumer:
        nsqd = await asyncio.to_thread(start_nsqd, lookupd_tcp_addresses=(lookupd.tcp_address,))
        await asyncio.to_thread(post, nsqd.http_address, "/topic/create?topic=events")
        async with Producer([nsqd.tcp_address]) as producer:
            await producer.publish("events", b"hello")
        await eventually_async(lambda: got == [b"hello"])
    await watcher.stop()


async def test_events_go_to_a_topic_of_a_registered_nsqd(start_nsqlookupd: Start, start_nsqd: Start) -> None:
    lookupd = start_nsqlookupd()
    watcher = Watcher(config(lookupd, topic="changes"))
    await watcher.start()
    try:
        nsqd = await asyncio.to_thread(start_nsqd, lookupd_tcp_addresses=(lookupd.tcp_address,))
        async with Consumer("changes", "ch", nsqd_tcp_addresses=[nsqd.tcp_address]) as consumer:
            events = []
            async for message in consumer:
                events.append(json.loads(message.body))
                message.finish()
                if events[-1]["event"] == "registered" and events[-1]["topic"] == "changes":
                    break
    finally:
        await watcher.stop()
    assert events[0]["event"] == "snapshot"
    numbers = [event["sequence"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_without_any_answer_it_does_not_start() -> None:
    watcher = Watcher(WatcherConfig(lookupd_http_addresses=("127.0.0.1:1",)))
    with pytest.raises(DiscoveryError, match=r"no nsqlookupd answers: .*127\.0\.0\.1:1"):
        await watcher.start()
    await watcher.stop()


def test_the_command_writes_lines_until_it_is_told_to_end(start_nsqlookupd: Start, tmp_path: Path) -> None:
    lookupd = start_nsqlookupd()
    post(lookupd.http_address, "/topic/create?topic=t")
    arguments = ("--lookupd-http-address", lookupd.http_address, "--poll-interval", "20ms", "--settle", "0")
    with Nsqgw(tmp_path, "topology", *arguments) as command:
        assert command.process.stdout is not None
        first = json.loads(command.process.stdout.readline())
        assert (first["schema"], first["event"], list(first["topics"])) == (1, "snapshot", ["t"])
        post(lookupd.http_address, "/topic/delete?topic=t")
        second = json.loads(command.process.stdout.readline())
        assert (second["event"], second["topic"]) == ("topic_deleted", "t")
        assert (second["epoch"], second["sequence"]) == (first["epoch"], first["sequence"] + 1)
        assert command.terminate() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--lookupd-http-address"),
        (("--lookupd-http-address", "x"), "has no port"),
        (("--lookupd-http-address", "127.0.0.1:1", "--topic", "a b"), "a b"),
        (("--lookupd-http-address", "127.0.0.1:1", "--nsqd-tcp-address", "h:1"), "without a topic"),
    ],
)
def test_wrong_usage_is_told_in_a_line(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["topology", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert words in told
