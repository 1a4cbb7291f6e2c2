"""Messages in flight: owners, deadlines of consumers with different time-outs, touches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compat.nsqd.in_flight import InFlight
from harness.channels import Inbox, make_messages


def test_deadlines_of_different_consumers_pass_each_in_its_time() -> None:
    slow, fast = Inbox(msg_timeout=60.0).consumer, Inbox(msg_timeout=1.0).consumer
    one, two = make_messages(b"one", b"two")
    in_flight = InFlight(900.0)
    in_flight.start([one], slow, 0.0)
    in_flight.start([two], fast, 0.5)
    assert in_flight.take_expired(1.4) == []
    assert in_flight.take_expired(1.5) == [two]
    assert in_flight.take_expired(59.9) == []
    assert in_flight.take_expired(60.0) == [one]
    assert len(in_flight) == 0


def test_a_touch_near_the_ceiling_can_bring_the_deadline_forward_of_others() -> None:
    consumer = Inbox(msg_timeout=10.0).consumer
    one, two = make_messages(b"one", b"two")
    in_flight = InFlight(12.0)
    in_flight.start([one], consumer, 0.0)
    in_flight.start([two], consumer, 5.0)
    in_flight.touch(one.id, consumer, 9.0)
    assert in_flight.take_expired(11.9) == []
    assert in_flight.take_expired(12.0) == [one]
    assert in_flight.take_expired(15.0) == [two]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5), st.booleans()), max_size=30))
def test_nothing_expires_early_and_nothing_stays(events: list[tuple[int, int, bool]]) -> None:
    in_flight, now = InFlight(100.0), 0.0
    messages = make_messages(*[b"x"] * len(events))
    for message, (timeout, step, answered) in zip(messages, events, strict=True):
        consumer = Inbox(msg_timeout=float(timeout)).consumer
        in_flight.start([message], consumer, now)
        if answered:
            assert in_flight.take(message.id, consumer) is message
        now += step
        for expired in in_flight.take_expired(now):
            assert expired.deadline <= now
        assert all(each.deadline > now for each in in_flight._messages.values())
