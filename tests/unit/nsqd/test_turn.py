"""Who is looked at in a scan: those with something left to do, and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from compat.nsqd.channel import Channel
from compat.nsqd.topic import Topic
from compat.nsqd.turn import Turn
from harness.channels import NOW_NS, Inbox, memory_backend


class Broker:
    """A topic `t`, and a clock that stands; `run` and `scan` are called as nsqd does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.runs: list[Callable[[], None]] = []
        self.turn = Turn(self.runs.append, lambda: self.now)
        self.topic = Topic("t", 1, 10, self.turn.wake_topic, memory_backend)
        self.topic.start()

    def channel(self, name: str) -> Channel:
        channel = Channel(
            "t",
            name,
            mem_queue_size=10,
            max_msg_timeout=900.0,
            wake=self.turn.wake_channel,
            open_backend=memory_backend,
        )
        self.topic.add_channel(channel)
        return channel

    def settle(self) -> None:
        while self.runs:
            self.runs.pop()()

    def scan(self, now: float) -> None:
        self.now = now
        self.turn.scan()
        self.settle()


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    names: list[str] = []
    scan = Channel.scan

    def noted(channel: Channel, now: float) -> bool:
        names.append(channel.name)
        return scan(channel, now)

    monkeypatch.setattr(Channel, "scan", noted)
    return names


def test_only_channels_with_something_left_are_looked_at(scanned: list[str]) -> None:
    broker = Broker()
    busy, _ = broker.channel("busy"), broker.channel("idle")
    inbox = Inbox(1)
    busy.add_consumer(inbox.consumer)
    busy.refresh(inbox.consumer)
    broker.topic.put([b"x"], NOW_NS)
    broker.settle()
    broker.scan(1.0)
    scanned.clear()
    broker.scan(2.0)
    assert scanned == ["busy"]
    broker.topic.channels["busy"].empty()
    broker.scan(3.0)
    scanned.clear()
    broker.scan(4.0)
    assert scanned == []


def test_what_was_published_deferred_comes_when_it_is_due() -> None:
    broker = Broker()
    channel = broker.channel("ch")
    broker.settle()
    broker.scan(1.0)
    broker.topic.put([b"x"], NOW_NS, 5.0)
    broker.settle()
    for now in (2.0, 3.0, 5.9):
        broker.scan(now)
    assert (channel.deferred_count, channel.depth) == (1, 0)
    broker.scan(6.0)
    assert (channel.deferred_count, channel.depth) == (0, 1)
