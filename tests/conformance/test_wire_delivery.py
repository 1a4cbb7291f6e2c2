"""SUB, RDY, FIN, REQ, TOUCH, CLS and the message's way (nsqd-tcp sections 8 to 14)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.http import channel_stats, post
from harness.polling import eventually
from harness.wire import Wire

Stats = Callable[[], dict[str, Any]]
Connect = Callable[..., Wire]

LATE = "failed ID not in flight"
NOT_MINE = "failed client does not own message"


@pytest.fixture
def channel(broker: Daemon, old_topic: str) -> Stats:
    """The /stats entry of channel `ch` of the old topic."""
    return lambda: channel_stats(broker.http_address, old_topic, "ch")


def publish(wire: Wire, topic: str, *bodies: bytes) -> None:
    for body in bodies:
        wire.ok(b"PUB " + topic.encode(), body)


def test_publish_consume_finish(broker: Daemon, wire: Wire, topic: str) -> None:
    before = time.time_ns()
    publish(wire, topic, b"hello\x00\xff")
    wire.subscribe(topic, "ch", rdy=1)
    message = wire.message()
    assert message.body == b"hello\x00\xff"
    assert message.attempts == 1
    assert before <= message.timestamp <= time.time_ns()
    assert len(message.id) == 16
    assert int(message.id, 16) > 0
    assert message.id == message.id.lower()
    wire.finish(message.id)
    eventually(lambda: channel_stats(broker.http_address, topic, "ch")["in_flight_count"] == 0)


def test_c_tcp_23_nothing_comes_before_rdy(wire: Wire, topic: str) -> None:
    publish(wire, topic, b"x")
    wire.subscribe(topic, "ch")
    assert wire.is_silent(0.3)


def test_c_tcp_24_rdy_is_a_ceiling_not_a_count(wire: Wire, topic: str) -> None:
    publish(wire, topic, b"1", b"2", b"3", b"4")
    wire.subscribe(topic, "ch", rdy=2)
    first, second = wire.message(), wire.message()
    assert wire.is_silent(0.3)
    wire.finish(first.id)
    assert wire.message().body == b"3"
    wire.finish(second.id)
    assert wire.message().body == b"4"


def test_c_tcp_26_rdy_without_count_is_one(wire: Wire, topic: str) -> None:
    wire.subscribe(topic, "ch")
    wire.send(b"RDY\n")
    wire.send(f"PUB {topic}\n".encode() + b"\0\0\0\x01x")
    wire.send(f"PUB {topic}\n".encode() + b"\0\0\0\x01x")
    assert sorted(wire.frame().type for _ in range(3)) == [0, 0, 2]
    assert wire.is_silent(0.2)


def test_lowering_rdy_recalls_nothing_and_stops_delivery(wire: Wire, topic: str) -> None:
    publish(wire, topic, b"1", b"2", b"3")
    wire.subscribe(topic, "ch", rdy=2)
    messages = [wire.message(), wire.message()]
    wire.send(b"RDY 0\n")
    for message in messages:
        wire.finish(message.id)
    assert wire.is_silent(0.3)
    wire.send(b"RDY 1\n")
    assert wire.message().body == b"3"


def test_c_tcp_27_requeue_at_once(wire: Wire, topic: str) -> None:
    publish(wire, topic, b"again")
    wire.subscribe(topic, "ch", rdy=1)
    first = wire.message()
    wire.send(b"REQ " + first.id + b" 0\n")
    assert wire.message() == first._replace(attempts=2)


def test_c_nsqd_15_requeue_goes_behind_what_waits(wire: Wire, topic: str) -> None:
    publish(wire, topic, b"1", b"2", b"3")
    wire.subscribe(topic, "ch", rdy=1)
    wire.send(b"REQ " + wire.message().id + b" 0\n")
    bodies = []
    for _ in range(3):
        message = wire.message()
        bodies.append(message.body)
        wire.finish(message.id)
    assert bodies == [b"2", b"3", b"1"]


def test_requeue_with_delay(wire: Wire, old_topic: str, channel: Stats) -> None:
    publish(wire, old_topic, b"later")
    wire.subscribe(old_topic, "ch", rdy=1)
    first = wire.message()
    wire.send(b"REQ " + first.id + b" 500\n")
    began = time.monotonic()
    state = eventually(lambda: (found := channel())["deferred_count"] and found)
    assert (state["in_flight_count"], state["requeue_count"], state["timeout_count"]) == (0, 1, 0)
    assert wire.message() == first._replace(attempts=2)
    assert time.monotonic() - began >= 0.4
    assert channel()["deferred_count"] == 0


def test_c_tcp_28_requeue_delay_is_clamped(start_nsqd: Callable[..., Daemon]) -> None:
    daemon = start_nsqd(max_req_timeout=0.2)
    with Wire(daemon.tcp_address) as wire:
        publish(wire, "t", b"x")
        wire.subscribe("t", "ch", rdy=1)
        wire.send(b"REQ " + wire.message().id + b" 3600000\n")
        assert wire.message().attempts == 2


def test_a_requeue_delay_in_nanoseconds_wraps(wire: Wire, topic: str) -> None:
    publish(wire, topic, b"x")
    wire.subscribe(topic, "ch", rdy=1)
    wire.send(b"REQ %s %d\n" % (wire.message().id, 2**63 - 1))
    assert wire.message().attempts == 2


def test_requeue_of_a_deferred_message_fails(wire: Wire, old_topic: str) -> None:
    publish(wire, old_topic, b"x")
    wire.subscribe(old_topic, "ch", rdy=1)
    message_id = wire.message().id
    wire.send(b"REQ " + message_id + b" 60000\n")
    wire.send(b"REQ " + message_id + b" 60000\n")
    assert wire.error() == f"E_REQ_FAILED REQ {message_id.decode()} {LATE}"


def test_c_tcp_29_c_nsqd_13_timeout_redelivers(wire: Wire, old_topic: str, channel: Stats) -> None:
    wire.identify(msg_timeout=1000)
    publish(wire, old_topic, b"slow")
    wire.subscribe(old_topic, "ch", rdy=1)
    first = wire.message()
    began = time.monotonic()
    assert wire.message() == first._replace(attempts=2)
    assert time.monotonic() - began >= 0.9
    wire.finish(first.id)
    state = eventually(lambda: not (found := channel())["in_flight_count"] and found)
    assert (state["timeout_count"], state["requeue_count"], state["depth"]) == (1, 0, 0)


def test_finish_after_the_timeout_fails(wire: Wire, old_topic: str, channel: Stats) -> None:
    wire.identify(msg_timeout=1000)
    publish(wire, old_topic, b"slow")
    wire.subscribe(old_topic, "ch", rdy=1)
    message_id = wire.message().id
    wire.send(b"RDY 0\n")
    eventually(lambda: channel()["timeout_count"])
    for command, code in (b"FIN %s", "E_FIN_FAILED FIN"), (b"TOUCH %s", "E_TOUCH_FAILED TOUCH"):
        assert wire.ask(command % message_id).data.decode() == f"{code} {message_id.decode()} {LATE}"


def test_c_tcp_18_answers_of_another_connection(connect: Connect, topic: str) -> None:
    owner, other = connect(), connect()
    publish(owner, topic, b"mine")
    owner.subscribe(topic, "ch", rdy=1)
    message_id = owner.message().id
    other.subscribe(topic, "ch")
    text = message_id.decode()
    for command, code in (f"FIN {text}", "FIN"), (f"REQ {text} 0", "REQ"), (f"TOUCH {text}", "TOUCH"):
        assert other.ask(command.encode()).data.decode() == f"E_{code}_FAILED {code} {text} {NOT_MINE}"
    owner.finish(message_id)
    owner.ok(b"PUB " + topic.encode(), b"still usable")


def test_c_tcp_30_touch_moves_the_deadline(wire: Wire, old_topic: str, channel: Stats) -> None:
    wire.identify(msg_timeout=2000)
    publish(wire, old_topic, b"long work")
    wire.subscribe(old_topic, "ch", rdy=1)
    first = wire.message()
    for _ in range(5):
        assert wire.is_silent(0.5)
        wire.send(b"TOUCH " + first.id + b"\n")
    assert channel()["timeout_count"] == 0
    assert wire.message() == first._replace(attempts=2)
    assert channel()["timeout_count"] == 1


def test_c_tcp_30_touch_ends_at_max_msg_timeout(start_nsqd: Callable[..., Daemon]) -> None:
    daemon = start_nsqd(max_msg_timeout=1.5)
    with Wire(daemon.tcp_address) as wire:
        wire.identify(msg_timeout=1000)
        publish(wire, "t", b"endless work")
        wire.subscribe("t", "ch", rdy=1)
        first = wire.message()
        until = time.monotonic() + 15
        while wire.is_silent(0.4):
            wire.send(b"TOUCH " + first.id + b"\n")
            assert time.monotonic() < until, "touch moved the deadline beyond max_msg_timeout"
        assert wire.message() == first._replace(attempts=2)


def test_c_tcp_31_cls(connect: Connect, topic: str) -> None:
    wire = connect()
    publish(wire, topic, b"1", b"2")
    wire.subscribe(topic, "ch", rdy=1)
    first = wire.message()
    assert wire.ask(b"CLS").data == b"CLOSE_WAIT"
    wire.send(b"RDY 5\n" + b"TOUCH " + first.id + b"\n" + b"FIN " + first.id + b"\n")
    publish(wire, topic, b"3")
    assert wire.is_silent(0.3)


def test_c_tcp_40_pipelined_publishes_are_answered_in_order(wire: Wire, topic: str) -> None:
    good = f"PUB {topic}\n".encode() + b"\0\0\0\x01x"
    wire.send(good * 50)
    assert [wire.frame().data for _ in range(50)] == [b"OK"] * 50
    wire.send(good * 2 + b"PUB\n")
    assert [wire.frame().data for _ in range(2)] == [b"OK"] * 2
    assert wire.error() == "E_INVALID PUB insufficient number of parameters"


def test_c_tcp_51_a_disconnect_does_not_requeue(connect: Connect, old_topic: str, channel: Stats) -> None:
    gone, heir = connect(), connect()
    gone.identify(msg_timeout=1000)
    publish(gone, old_topic, b"left behind")
    gone.subscribe(old_topic, "ch", rdy=1)
    first = gone.message()
    began = time.monotonic()
    gone.close()
    eventually(lambda: channel()["client_count"] == 0)
    assert channel()["in_flight_count"] == 1
    heir.subscribe(old_topic, "ch", rdy=1)
    assert heir.message() == first._replace(attempts=2)
    assert time.monotonic() - began >= 0.8


def test_c_tcp_52_first_channel_gets_the_backlog(connect: Connect, topic: str) -> None:
    early, late = connect(), connect()
    publish(early, topic, b"1", b"2")
    early.subscribe(topic, "early", rdy=2)
    assert sorted(early.message().body for _ in range(2)) == [b"1", b"2"]
    late.subscribe(topic, "late", rdy=2)
    assert late.is_silent(0.2)
    publish(early, topic, b"3")  # by who takes no more, or the message could overtake the OK
    assert late.message().body == b"3"


def test_c_nsqd_14_two_channels_each_get_a_copy(connect: Connect, topic: str) -> None:
    one, two = connect(), connect()
    one.subscribe(topic, "one", rdy=1)
    two.subscribe(topic, "two", rdy=1)
    publish(one, topic, b"for both")
    first = one.message()
    assert two.message() == first
    one.send(b"REQ " + first.id + b" 0\n")
    assert one.message().attempts == 2
    two.finish(first.id)
    assert two.is_silent(0.2)


def test_two_consumers_share_a_channel(connect: Connect, topic: str) -> None:
    consumers = [connect(), connect()]
    for wire in consumers:
        wire.subscribe(topic, "ch", rdy=1)
    publish(connect(), topic, b"1", b"2")
    assert sorted(wire.message().body for wire in consumers) == [b"1", b"2"]


def test_c_tcp_54_max_channel_consumers(start_nsqd: Callable[..., Daemon]) -> None:
    daemon = start_nsqd(max_channel_consumers=1)
    with Wire(daemon.tcp_address) as first, Wire(daemon.tcp_address) as second:
        first.subscribe("t", "c")
        second.send(b"SUB t c\n")
        assert second.error() == "E_SUB_FAILED SUB failed consumers for t:c exceeds limit of 1"
        assert second.is_closed()


def test_c_tcp_56_ids_increase(wire: Wire, topic: str) -> None:
    wire.subscribe(topic, "ch", rdy=100)
    wire.send(b"".join(f"PUB {topic}\n".encode() + b"\0\0\0\x01x" for _ in range(100)))
    frames = [wire.frame() for _ in range(200)]
    ids = [frame.data[10:26] for frame in frames if frame.type == 2]
    assert len(ids) == 100
    assert ids == sorted(set(ids))


def test_c_tcp_57_output_buffer_timeout_delays_only_with_spare_rdy(
    broker: Daemon, connect: Connect, topic: str
) -> None:
    publisher, buffered, prompt = connect(), connect(), connect()
    for wire, channel, rdy in (buffered, "buffered", 10), (prompt, "prompt", 1):
        wire.identify(output_buffer_timeout=30000)
        wire.subscribe(topic, channel, rdy)
    publish(publisher, topic, b"small")
    assert prompt.message().body == b"small"
    if broker.kind == "real":  # ours writes what a loop turn brought, and holds nothing back
        assert buffered.is_silent(0.3)
    buffered.send(b"FIN 0123456789abcdef\n")  # its answer takes along what waits
    assert sorted(buffered.frame().type for _ in range(2)) == [1, 2]


def test_unbuffered_output_comes_at_once(connect: Connect, topic: str) -> None:
    wire = connect()
    wire.identify(output_buffer_size=-1)
    wire.subscribe(topic, "ch", rdy=10)
    publish(connect(), topic, b"small")
    assert wire.message().body == b"small"


def test_c_tcp_60_one_connection_subscribes_and_publishes(wire: Wire, topic: str) -> None:
    wire.subscribe(topic, "ch", rdy=1)
    wire.send(f"PUB {topic}\n".encode() + b"\0\0\0\x01x")
    assert sorted(frame.type for frame in (wire.frame(), wire.frame())) == [0, 2]


def test_sample_rate_discards_the_rest(broker: Daemon, wire: Wire, old_topic: str, channel: Stats) -> None:
    wire.identify(sample_rate=1, output_buffer_size=-1)
    wire.subscribe(old_topic, "ch", rdy=2500)
    assert post(broker.http_address, f"/mpub?topic={old_topic}", b"x\n" * 1000).status == 200
    state = eventually(lambda: (found := channel())["message_count"] == 1000 and not found["depth"] and found)
    # 2 of 100 are kept on average: a hundred has a chance of less than one in 10^30.
    assert state["in_flight_count"] < 100
