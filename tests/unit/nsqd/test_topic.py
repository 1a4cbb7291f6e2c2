"""A topic's policy: what each channel gets, and what waits for the first one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compat.nsqd.channel import Channel
from compat.nsqd.topic import PUMP_MESSAGES, Topic
from harness.channels import NOW_NS, Inbox, Woken, memory_backend


@pytest.fixture
def make_topic(woken: Woken) -> Callable[..., Topic]:
    def make(name: str = "t", mem_queue_size: int = 10) -> Topic:
        topic = Topic(name, 7, mem_queue_size, woken, memory_backend)
        topic.start()
        return topic

    return make


@pytest.fixture
def topic(make_topic: Callable[..., Topic]) -> Topic:
    return make_topic()


def test_the_first_channel_gets_the_backlog_and_later_ones_nothing_of_it(
    topic: Topic, make_channel: Callable[..., Channel]
) -> None:
    topic.put([b"a", b"b"], NOW_NS)
    topic.pump(0.0)
    assert topic.depth == 2
    first, second = make_channel("first"), make_channel("second")
    topic.add_channel(first)
    topic.pump(0.0)
    topic.add_channel(second)
    topic.pump(0.0)
    assert (topic.depth, first.depth, second.depth) == (0, 2, 0)


def test_every_channel_gets_the_same_message_with_attempts_of_its_own(
    topic: Topic, make_channel: Callable[..., Channel], join: Callable[..., Inbox]
) -> None:
    channels = [make_channel("one"), make_channel("two")]
    inboxes = []
    for channel in channels:
        topic.add_channel(channel)
        inboxes.append(join(1, to=channel))
    topic.put([b"a"], NOW_NS)
    topic.pump(0.0)
    for channel in channels:
        channel.hand_out(0.0)
    [one], [two] = inboxes[0].messages, inboxes[1].messages
    assert one is not two
    assert (one.id, one.timestamp, one.body) == (two.id, two.timestamp, two.body)
    channels[0].requeue(one.id, inboxes[0].consumer, 0.0, 0.0)
    channels[0].hand_out(0.0)
    assert (one.attempts, two.attempts) == (2, 1)


def test_a_deferral_starts_when_the_message_leaves_the_topic(
    topic: Topic, make_channel: Callable[..., Channel]
) -> None:
    topic.put([b"later"], NOW_NS, 5.0)
    topic.put([b"now"], NOW_NS)
    channel = make_channel()
    topic.add_channel(channel)
    topic.pump(100.0)
    assert (channel.depth, channel.deferred_count, channel.message_count) == (1, 1, 2)
    channel.scan(104.9)
    assert channel.depth == 1
    channel.scan(105.0)
    assert (channel.depth, channel.deferred_count) == (2, 0)


def test_a_paused_topic_keeps_its_messages(topic: Topic, make_channel: Callable[..., Channel]) -> None:
    channel = make_channel()
    topic.add_channel(channel)
    topic.set_paused(True)
    topic.put([b"a"], NOW_NS)
    topic.pump(0.0)
    assert (topic.depth, channel.depth) == (1, 0)
    topic.set_paused(False)
    topic.pump(0.0)
    assert (topic.depth, channel.depth) == (0, 1)


def test_nothing_moves_before_the_known_channels_exist(
    woken: Woken, make_channel: Callable[..., Channel]
) -> None:
    topic = Topic("t", 7, 10, woken, memory_backend)
    first, known = make_channel("first"), make_channel("known")
    topic.put([b"a"], NOW_NS)
    topic.add_channel(first)
    topic.pump(0.0)
    topic.add_channel(known)
    topic.start()
    topic.pump(0.0)
    assert (first.depth, known.depth) == (1, 1)


def test_counters_and_backend_depth(topic: Topic) -> None:
    topic.put([b"ab"] * 12, NOW_NS)
    topic.pump(0.0)
    assert (topic.message_count, topic.message_bytes) == (12, 24)
    assert (topic.depth, topic.backend_depth) == (12, 2)
    topic.empty()
    assert (topic.depth, topic.message_count) == (0, 12)


def test_what_is_behind_memory_moves_in_portions(
    make_topic: Callable[..., Topic], woken: Woken, make_channel: Callable[..., Channel]
) -> None:
    topic = make_topic(mem_queue_size=0)
    channel = make_channel(mem_queue_size=10_000)
    topic.put([b"a"] * (PUMP_MESSAGES + 1), NOW_NS)
    topic.add_channel(channel)
    topic.pump(0.0)
    woken.count = 0
    assert (topic.depth, channel.depth) == (1, PUMP_MESSAGES)
    topic.scan()
    assert woken.count == 1
    topic.pump(0.0)
    assert (topic.depth, channel.depth) == (0, PUMP_MESSAGES + 1)


def test_a_topic_waits_for_a_channel_that_is_overfull(
    make_topic: Callable[..., Topic], make_channel: Callable[..., Channel], woken: Woken
) -> None:
    topic = make_topic()
    backend = memory_backend()
    channel = make_channel(mem_queue_size=1, open_backend=lambda *_: backend)
    topic.add_channel(channel)
    budget, backend._budget.limit = backend._budget.limit, 0
    topic.put([b"a", b"b"], NOW_NS)
    topic.pump(0.0)
    topic.put([b"c"], NOW_NS)
    topic.pump(0.0)
    assert (channel.depth, channel.overfull, topic.depth) == (2, True, 1)
    backend._budget.limit = budget
    channel.scan(0.0)
    woken.count = 0
    topic.scan()
    assert woken.count == 1
    topic.pump(0.0)
    assert (channel.depth, channel.overfull, topic.depth) == (3, False, 0)


@pytest.mark.parametrize("has_channel", [True, False])
def test_without_memory_a_deferred_message_leaves_at_once_or_goes_to_the_backend(
    make_topic: Callable[..., Topic], make_channel: Callable[..., Channel], has_channel: bool
) -> None:
    topic = make_topic(mem_queue_size=0)
    if has_channel:
        topic.add_channel(make_channel())
    topic.put([b"a"], NOW_NS, 5.0)
    assert topic.backend_depth == (not has_channel)


def test_an_ephemeral_topic_drops_what_does_not_fit(make_topic: Callable[..., Topic]) -> None:
    topic = make_topic("t#ephemeral", mem_queue_size=3)
    topic.put([b"a"] * 5, NOW_NS)
    topic.pump(0.0)
    assert (topic.depth, topic.message_count) == (3, 5)
