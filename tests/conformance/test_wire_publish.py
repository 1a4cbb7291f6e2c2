"""PUB, DPUB, MPUB, names, ephemeral topics and channels (nsqd-tcp sections 4, 8.6 to 8.8 and 14)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from harness.daemons import Daemon
from harness.http import channel_stats, post, stats
from harness.polling import eventually
from harness.wire import Wire, mpub_body, sized

MAX_MESSAGE = 1024 * 1024


def topic_names(broker: Daemon) -> list[str]:
    return [entry["topic_name"] for entry in stats(broker.http_address)["topics"]]


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "n" * 64, "n" * 54 + "#ephemeral", "...", "-"])
def test_c_tcp_34_names_that_pass(broker: Daemon, wire: Wire, name: str) -> None:
    wire.ok(f"PUB {name}".encode(), b"x")
    wire.ok(f"SUB {name} {name}".encode())
    assert name in topic_names(broker)
    assert post(broker.http_address, f"/topic/delete?topic={name.replace('#', '%23')}").status == 200


@pytest.mark.parametrize(
    "name", ["n" * 65, "n" * 55 + "#ephemeral", "a#b", "a#ephemeral2", "ä", "a/b", "a\tb"]
)
def test_c_tcp_34_names_that_fail(wire: Wire, name: str) -> None:
    assert wire.ask(f"PUB {name}".encode()).data.startswith(b"E_BAD_TOPIC PUB topic name ")
    assert wire.is_closed()


def test_c_tcp_33_the_largest_message(wire: Wire, topic: str) -> None:
    body = b"m" * MAX_MESSAGE
    wire.ok(b"PUB " + topic.encode(), body)
    wire.subscribe(topic, "ch", rdy=1)
    assert wire.message().body == body


def test_c_tcp_35_dpub_0_delivers_at_once(wire: Wire, topic: str) -> None:
    wire.ok(f"DPUB {topic} 0".encode(), b"now")
    wire.subscribe(topic, "ch", rdy=1)
    message = wire.message()
    assert (message.body, message.attempts) == (b"now", 1)


def test_a_dpub_delay_in_nanoseconds_wraps(wire: Wire, topic: str) -> None:
    wire.ok(b"DPUB %s %d" % (topic.encode(), 2**63), b"now")
    wire.subscribe(topic, "ch", rdy=1)
    assert wire.message().body == b"now"


def test_c_tcp_36_dpub_defers_on_each_channel(
    broker: Daemon, connect: Callable[..., Wire], old_topic: str
) -> None:
    wire, other = connect(), connect()
    wire.subscribe(old_topic, "ch", rdy=1)
    other.subscribe(old_topic, "other")
    began = time.monotonic()
    wire.ok(f"DPUB {old_topic} 1000".encode(), b"later")
    for channel in "ch", "other":
        eventually(
            lambda name=channel: channel_stats(broker.http_address, old_topic, name)["deferred_count"] == 1
        )
        assert channel_stats(broker.http_address, old_topic, channel)["depth"] == 0
    message = wire.message()
    assert (message.body, message.attempts) == (b"later", 1)
    assert time.monotonic() - began >= 0.9


def test_mpub_publishes_all_in_order(wire: Wire, topic: str) -> None:
    bodies = [b"m%d" % number for number in range(10)]
    wire.send(f"MPUB {topic}\n".encode() + mpub_body(*bodies))
    assert wire.frame().data == b"OK"
    wire.subscribe(topic, "ch", rdy=10)
    assert [wire.message().body for _ in bodies] == bodies


def test_c_tcp_37_a_bad_batch_publishes_nothing(
    broker: Daemon, connect: Callable[..., Wire], topic: str
) -> None:
    wire = connect()
    wire.send(f"MPUB {topic}\n".encode() + mpub_body(b"good", b""))
    assert wire.error() == "E_BAD_MESSAGE MPUB invalid message(1) body size 0"
    # The original has made the topic by now, ours has not.
    topics = stats(broker.http_address, f"&topic={topic}")["topics"] or []
    assert [entry["message_count"] for entry in topics] in ([], [0])


def test_c_tcp_53_ephemeral_channel_goes_with_its_last_consumer(
    broker: Daemon, connect: Callable[..., Wire], topic: str
) -> None:
    first, second = connect(), connect()
    first.subscribe(topic, "ch#ephemeral")
    second.subscribe(topic, "ch#ephemeral")
    first.ok(b"PUB " + topic.encode(), b"x")
    first.close()
    eventually(lambda: channel_stats(broker.http_address, topic, "ch#ephemeral")["client_count"] == 1)
    second.close()
    eventually(lambda: not channel_stats(broker.http_address, topic, "ch#ephemeral"))
    assert topic in topic_names(broker)


def test_c_tcp_53_ephemeral_topic_goes_with_its_last_channel(broker: Daemon, wire: Wire, topic: str) -> None:
    wire.subscribe(f"{topic}#ephemeral", "ch#ephemeral")
    assert f"{topic}#ephemeral" in topic_names(broker)
    wire.close()
    eventually(lambda: f"{topic}#ephemeral" not in topic_names(broker))


def test_ephemeral_channel_made_over_http_stays(broker: Daemon, topic: str) -> None:
    post(broker.http_address, f"/topic/create?topic={topic}")
    post(broker.http_address, f"/channel/create?topic={topic}&channel=ch%23ephemeral")
    assert channel_stats(broker.http_address, topic, "ch#ephemeral")["client_count"] == 0


def test_c_nsqd_1_what_memory_does_not_take_is_backend_depth(start_nsqd: Callable[..., Daemon]) -> None:
    daemon = start_nsqd(mem_queue_size=10)
    post(daemon.http_address, "/topic/create?topic=t")
    post(daemon.http_address, "/channel/create?topic=t&channel=ch")
    post(daemon.http_address, "/mpub?topic=t", b"x\n" * 100)
    state = eventually(
        lambda: (found := channel_stats(daemon.http_address, "t", "ch"))["depth"] == 100 and found
    )
    assert state["backend_depth"] == 90


def test_c_nsqd_12_ephemeral_topic_drops_the_surplus(start_nsqd: Callable[..., Daemon]) -> None:
    daemon = start_nsqd(mem_queue_size=10)
    with Wire(daemon.tcp_address) as wire:
        wire.send((b"PUB t#ephemeral\n" + sized(b"x")) * 50)
        assert [wire.frame().data for _ in range(50)] == [b"OK"] * 50
        (entry,) = stats(daemon.http_address)["topics"]
        assert entry["depth"] == 10


def test_c_nsqd_22_paused_topic_keeps_its_messages(broker: Daemon, wire: Wire, topic: str) -> None:
    wire.subscribe(topic, "ch", rdy=5)
    assert post(broker.http_address, f"/topic/pause?topic={topic}").status == 200
    wire.ok(b"PUB " + topic.encode(), b"held")
    assert wire.is_silent(0.3)
    (entry,) = stats(broker.http_address, f"&topic={topic}")["topics"]
    assert (entry["paused"], entry["depth"], entry["channels"][0]["message_count"]) == (True, 1, 0)
    assert post(broker.http_address, f"/topic/unpause?topic={topic}").status == 200
    assert wire.message().body == b"held"


def test_c_tcp_55_paused_channel_delivers_nothing(
    broker: Daemon, connect: Callable[..., Wire], topic: str
) -> None:
    paused, running = connect(), connect()
    paused.subscribe(topic, "paused", rdy=5)
    running.subscribe(topic, "running", rdy=5)
    assert post(broker.http_address, f"/channel/pause?topic={topic}&channel=paused").status == 200
    assert channel_stats(broker.http_address, topic, "paused")["paused"] is True
    running.send(f"PUB {topic}\n".encode() + sized(b"held"))
    assert sorted(running.frame().type for _ in range(2)) == [0, 2]
    assert paused.is_silent(0.3)
    assert channel_stats(broker.http_address, topic, "paused")["depth"] == 1
    assert post(broker.http_address, f"/channel/unpause?topic={topic}&channel=paused").status == 200
    assert paused.message().body == b"held"
