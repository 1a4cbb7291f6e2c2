"""A channel's policy: who gets which message, what comes back and when. Time is a number here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.nsqd.channel import HELPING_BYTES, Channel
from compat.nsqd.in_flight import NotInFlight
from harness.channels import Inbox, Woken, make_messages, memory_backend


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_nothing_is_delivered_before_rdy(channel: Channel, join: Callable[..., Inbox]) -> None:
    inbox = join(0)
    channel.put(make_messages(b"a"))
    channel.hand_out(0.0)
    assert (inbox.bodies, channel.depth) == ([], 1)


def test_rdy_is_a_ceiling_that_each_finish_lowers_nothing_of(
    channel: Channel, join: Callable[..., Inbox]
) -> None:
    inbox = join(2)
    channel.put(make_messages(*numbered(4)))
    channel.hand_out(0.0)
    assert inbox.bodies == [b"0", b"1"]
    assert channel.finish([inbox.ids[0]], inbox.consumer) == []
    channel.hand_out(0.0)
    assert inbox.bodies == [b"0", b"1", b"2"]
    assert (channel.depth, channel.in_flight_count, inbox.consumer.in_flight_count) == (1, 2, 2)


def test_lowering_rdy_recalls_nothing_and_stops_delivery(
    channel: Channel, join: Callable[..., Inbox]
) -> None:
    inbox = join(3)
    channel.put(make_messages(*numbered(5)))
    channel.hand_out(0.0)
    inbox.consumer.rdy = 1
    channel.finish(inbox.ids[:1], inbox.consumer)
    channel.hand_out(0.0)
    assert len(inbox.messages) == 3
    channel.finish(inbox.ids[1:], inbox.consumer)
    channel.hand_out(0.0)
    assert len(inbox.messages) == 4


def test_what_one_turn_brought_is_delivered_at_once(
    make_channel: Callable[..., Channel], join: Callable[..., Inbox]
) -> None:
    channel = make_channel(mem_queue_size=50)
    inbox = join(100, to=channel)
    channel.put(make_messages(*numbered(50)))
    channel.hand_out(0.0)
    assert inbox.deliveries == 1


def test_consumers_share_equally_and_single_messages_go_round(
    channel: Channel, join: Callable[..., Inbox]
) -> None:
    inboxes = [join(100), join(100), join(100)]
    channel.put(make_messages(*numbered(30)))
    channel.hand_out(0.0)
    assert [len(inbox.messages) for inbox in inboxes] == [10, 10, 10]
    for body in (b"x", b"y", b"z"):
        channel.put(make_messages(body))
        channel.hand_out(0.0)
    assert [len(inbox.messages) for inbox in inboxes] == [11, 11, 11]


def test_a_blocked_consumer_gets_nothing_until_it_drains(
    channel: Channel, join: Callable[..., Inbox], woken: Woken
) -> None:
    stalled, lively = join(100), join(5)
    stalled.consumer.blocked = True
    channel.put(make_messages(*numbered(8)))
    channel.hand_out(0.0)
    assert (len(stalled.messages), len(lively.messages), channel.depth) == (0, 5, 3)
    stalled.consumer.blocked = False
    woken.count = 0
    channel.refresh(stalled.consumer)
    assert woken.count == 1
    channel.hand_out(0.0)
    assert len(stalled.messages) == 3


def test_large_messages_are_handed_out_a_helping_at_a_time(
    channel: Channel, join: Callable[..., Inbox]
) -> None:
    """Between two helpings a full socket can say so, so what is written to it stays bounded."""
    inbox = join(100)
    channel.put(make_messages(*[bytes(HELPING_BYTES // 2)] * 6))
    channel.hand_out(0.0)
    assert (len(inbox.messages), inbox.deliveries) == (6, 3)


def test_two_consumers_never_hold_the_same_message(channel: Channel, join: Callable[..., Inbox]) -> None:
    first, second = join(1), join(1)
    channel.put(make_messages(b"a"))
    channel.hand_out(0.0)
    owner, other = (first, second) if first.messages else (second, first)
    assert channel.finish(owner.ids, other.consumer) == [(owner.ids[0], "client does not own message")]
    assert channel.finish([b"f" * 16], owner.consumer) == [(b"f" * 16, "ID not in flight")]
    assert channel.finish(owner.ids, owner.consumer) == []
    assert channel.finish(owner.ids, owner.consumer) == [(owner.ids[0], "ID not in flight")]
    assert owner.consumer.finish_count == 1


def test_requeue_puts_it_behind_those_already_queued(channel: Channel, join: Callable[..., Inbox]) -> None:
    inbox = join(1)
    channel.put(make_messages(b"a", b"b"))
    channel.hand_out(0.0)
    channel.requeue(inbox.ids[0], inbox.consumer, 0.0, 0.0)
    channel.hand_out(0.0)
    channel.finish(inbox.ids[1:], inbox.consumer)
    channel.hand_out(0.0)
    assert inbox.bodies == [b"a", b"b", b"a"]
    assert inbox.messages[2].attempts == 2
    assert (channel.requeue_count, inbox.consumer.requeue_count, channel.timeout_count) == (1, 1, 0)


def test_a_requeue_with_delay_waits_for_its_time(channel: Channel, join: Callable[..., Inbox]) -> None:
    inbox = join(5)
    channel.put(make_messages(b"a"))
    channel.hand_out(0.0)
    channel.requeue(inbox.ids[0], inbox.consumer, 2.0, 10.0)
    assert (channel.deferred_count, channel.in_flight_count, channel.depth) == (1, 0, 0)
    channel.scan(11.9)
    assert channel.depth == 0
    channel.scan(12.0)
    assert (channel.depth, channel.deferred_count) == (1, 0)
    with pytest.raises(NotInFlight, match="ID not in flight"):
        channel.requeue(inbox.ids[0], inbox.consumer, 0.0, 12.0)


def test_a_message_not_answered_in_time_comes_again(channel: Channel, join: Callable[..., Inbox]) -> None:
    inbox = join(5, msg_timeout=3.0)
    channel.put(make_messages(b"a"))
    channel.hand_out(100.0)
    channel.scan(102.9)
    assert channel.in_flight_count == 1
    channel.scan(103.0)
    assert (channel.in_flight_count, channel.depth, inbox.consumer.in_flight_count) == (0, 1, 0)
    assert channel.finish(inbox.ids, inbox.consumer) == [(inbox.ids[0], "ID not in flight")]
    channel.hand_out(103.0)
    assert [message.attempts for message in inbox.messages] == [2, 2]
    assert (channel.timeout_count, channel.requeue_count) == (1, 0)


def test_touch_moves_the_deadline_but_never_beyond_the_ceiling(
    make_channel: Callable[..., Channel], join: Callable[..., Inbox]
) -> None:
    channel = make_channel(max_msg_timeout=5.0)
    inbox = join(1, to=channel, msg_timeout=3.0)
    channel.put(make_messages(b"a"))
    channel.hand_out(0.0)
    channel.touch(inbox.ids[0], inbox.consumer, 2.0)
    channel.scan(4.9)
    assert channel.in_flight_count == 1
    channel.touch(inbox.ids[0], inbox.consumer, 4.9)
    channel.scan(5.0)
    assert channel.in_flight_count == 0
    with pytest.raises(NotInFlight):
        channel.touch(inbox.ids[0], inbox.consumer, 5.0)


def test_a_departed_consumers_messages_wait_for_their_time_out(
    channel: Channel, join: Callable[..., Inbox]
) -> None:
    gone, other = join(5, msg_timeout=3.0), join(0)
    channel.put(make_messages(b"a"))
    channel.hand_out(0.0)
    channel.remove_consumer(gone.consumer)
    other.consumer.rdy = 1
    channel.refresh(other.consumer)
    channel.hand_out(1.0)
    assert other.messages == []
    channel.scan(3.0)
    channel.hand_out(3.0)
    assert other.bodies == [b"a"]


def test_a_paused_channel_delivers_nothing_and_goes_on_without_a_new_rdy(
    channel: Channel, join: Callable[..., Inbox]
) -> None:
    inbox = join(5)
    channel.set_paused(True)
    channel.put(make_messages(b"a"))
    channel.hand_out(0.0)
    assert inbox.messages == []
    channel.set_paused(False)
    channel.hand_out(0.0)
    assert inbox.bodies == [b"a"]


def test_empty_drops_everything_and_frees_the_consumers(channel: Channel, join: Callable[..., Inbox]) -> None:
    inbox = join(2)
    channel.put(make_messages(*numbered(4)))
    channel.hand_out(0.0)
    channel.requeue(inbox.ids[0], inbox.consumer, 60.0, 0.0)
    channel.empty()
    assert (channel.depth, channel.in_flight_count, channel.deferred_count) == (0, 0, 0)
    assert inbox.consumer.in_flight_count == 0
    channel.put(make_messages(b"x", b"y"))
    channel.hand_out(0.0)
    assert inbox.bodies[-2:] == [b"x", b"y"]


def test_what_memory_should_not_hold_counts_as_backend_depth(channel: Channel) -> None:
    channel.put(make_messages(*numbered(13)))
    channel.hand_out(0.0)
    assert (channel.depth, channel.backend_depth, channel.message_count) == (13, 3, 13)


def test_an_ephemeral_channel_drops_what_does_not_fit(make_channel: Callable[..., Channel]) -> None:
    channel = make_channel("ch#ephemeral", mem_queue_size=3)
    channel.put(make_messages(*numbered(5)))
    channel.hand_out(0.0)
    assert (channel.depth, channel.backend_depth, channel.message_count) == (3, 0, 5)


def test_an_ephemeral_channel_without_memory_hands_over_to_who_waits(
    make_channel: Callable[..., Channel], join: Callable[..., Inbox]
) -> None:
    channel = make_channel("ch#ephemeral", mem_queue_size=0)
    inbox = join(2, to=channel)
    channel.put(make_messages(*numbered(5)))
    channel.hand_out(0.0)
    assert (inbox.bodies, channel.depth) == ([b"0", b"1"], 0)


def test_sampling_discards_for_good(channel: Channel, join: Callable[..., Inbox]) -> None:
    inbox = join(2500, sample_rate=49)
    channel.put(make_messages(*numbered(2000)))
    channel.hand_out(0.0)
    assert 800 < len(inbox.messages) < 1200
    assert (channel.depth, channel.in_flight_count) == (0, len(inbox.messages))


def test_attempts_wrap_after_16_bits(channel: Channel, join: Callable[..., Inbox]) -> None:
    inbox = join(1)
    [message] = make_messages(b"a")
    message.attempts = 65535
    channel.put([message])
    channel.hand_out(0.0)
    assert inbox.messages[0].attempts == 0


def test_a_message_in_flight_twice_counts_once(channel: Channel, join: Callable[..., Inbox]) -> None:
    """A disk queue brings it after a crash: once where it was read, once where it was requeued to."""
    one, other = join(1), join(1)
    [message] = make_messages(b"a")
    channel.put([message, message.copy()])
    channel.hand_out(0.0)
    assert (one.bodies, other.bodies) == ([b"a"], [b"a"])
    assert channel.in_flight_count == one.consumer.in_flight_count + other.consumer.in_flight_count == 1
    failed = channel.finish([message.id], one.consumer) + channel.finish([message.id], other.consumer)
    assert len(failed) == 1
    assert (one.consumer.in_flight_count, other.consumer.in_flight_count) == (0, 0)


steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "rdy", "finish", "requeue", "touch", "turn", "block", "leave", "pause"]),
        st.integers(0, 7),
    ),
    max_size=60,
)


@given(steps)
def test_no_message_is_lost_or_doubled_whatever_happens(steps: list[tuple[str, int]]) -> None:
    """Every message is at all times in exactly one place, until it is finished."""
    channel = Channel(
        "t", "c", mem_queue_size=3, max_msg_timeout=9.0, wake=Woken(), open_backend=memory_backend
    )
    inboxes = [Inbox(msg_timeout=3.0) for _ in range(3)]
    for inbox in inboxes:
        channel.add_consumer(inbox.consumer)
    put = finished = 0
    for now, (what, number) in enumerate(steps, 1):
        inbox = inboxes[number % 3]
        recent = inbox.ids[-1 - number % 2 :][:1]
        if what == "put":
            channel.put([*make_messages(*numbered(put + number))][put:])
            put += number
        elif what == "rdy":
            inbox.consumer.rdy = number
            channel.refresh(inbox.consumer)
        elif what == "finish" and recent:
            finished += not channel.finish(recent, inbox.consumer)
        elif what in ("requeue", "touch") and recent:
            try:
                if what == "requeue":
                    channel.requeue(recent[0], inbox.consumer, float(number % 4), float(now))
                else:
                    channel.touch(recent[0], inbox.consumer, float(now))
            except NotInFlight:
                pass
        elif what == "block":
            inbox.consumer.blocked = not inbox.consumer.blocked
            channel.refresh(inbox.consumer)
        elif what == "leave":
            channel.remove_consumer(inbox.consumer)
        elif what == "pause":
            channel.set_paused(not channel.paused)
        channel.scan(float(now))
        channel.hand_out(float(now))
        assert channel.depth + channel.in_flight_count + channel.deferred_count + finished == put
        assert sum(each.consumer.in_flight_count for each in inboxes) == channel.in_flight_count
        assert all(each.consumer.in_flight_count >= 0 for each in inboxes)
