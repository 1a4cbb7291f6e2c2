"""What waits for an nsqd is bounded, and what is dropped is said; a reader is told what it missed."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing

import pytest

from harness.embedded import EmbeddedNsqd
from harness.polling import eventually_async
from nsqgw import Consumer
from nsqgw.service.topology_publisher import TopologyPublisher
from nsqgw.topology.changes import TopicCreated
from nsqgw.topology.events import Event, Position, Snapshot, decode
from nsqgw.topology.journal import Journal
from nsqgw.topology.reader import JournalReader


def record(journal: Journal, first: int, last: int) -> None:
    for number in range(first, last):
        journal.record([TopicCreated(f"topic{number}")])


async def test_a_reader_that_fell_behind_gets_a_snapshot_and_is_told() -> None:
    journal = Journal(capacity=3)
    with JournalReader(journal) as reader:
        assert isinstance((await reader.read(0))[0].event.what, Snapshot)
        record(journal, 0, 3)
        assert [entry.event.sequence for entry in await reader.read(0)] == [1, 2, 3]
        assert reader.missed == 0
        record(journal, 3, 7)
        (entry,) = await reader.read(0)
        assert (reader.missed, entry.event.sequence) == (4, 7)
        assert await reader.read(0.01) == []
    assert journal.listeners == set()


async def test_bytes_are_bounded_as_events_are() -> None:
    journal = Journal(max_bytes=1000)
    record(journal, 0, 50)
    assert journal.after(Position(journal.epoch, 49)) is not None
    assert journal.after(Position(journal.epoch, 30)) is None


async def test_while_no_nsqd_is_there_events_wait_and_the_rest_is_dropped_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nsqd = EmbeddedNsqd()
    nsqd.start()
    await asyncio.to_thread(nsqd.stop)
    journal = Journal(capacity=5)
    publisher = TopologyPublisher(journal, "changes", [nsqd.tcp_address])
    publisher.start()
    with closing(nsqd), caplog.at_level(logging.WARNING):
        await eventually_async(lambda: len(journal.listeners) == 2)  # it has read, and is followed as a feed
        record(journal, 0, 20)
        await asyncio.to_thread(nsqd.start)
        events = await _consumed(nsqd, until=20)
        record(journal, 20, 22)
        events += await _consumed(nsqd, until=22)
        await publisher.stop()
    assert [event.sequence for event in events[-2:]] == [21, 22]
    snapshots = [event.what for event in events if isinstance(event.what, Snapshot)]
    assert [len(snapshot.cluster.topics) for snapshot in snapshots] == [0, 20]
    assert publisher.dropped == 20
    assert "20 events dropped" in caplog.text


async def _consumed(nsqd: EmbeddedNsqd, until: int) -> list[Event]:
    """The events in the channel, up to the one with the number `until`."""
    events: list[Event] = []
    async with Consumer("changes", "ch", nsqd_tcp_addresses=[nsqd.tcp_address]) as consumer:
        async for message in consumer:
            events.append(decode(message.body))
            message.finish()
            if events[-1].sequence == until:
                break
    return events
