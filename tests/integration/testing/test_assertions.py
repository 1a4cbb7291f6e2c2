"""Assertions: they wait, they fail at once when waiting is of no use, and their errors show what was seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from compat.testing import NsqdUnderTest, OnlyInProcess, RealNsqd
from harness.real import BIN, require


@pytest.fixture
def original() -> Iterator[NsqdUnderTest]:
    require("nsqd")
    daemon = RealNsqd(str(BIN))
    daemon.start()
    yield daemon
    daemon.close()


def test_they_wait(watched: Any) -> None:
    later = threading.Timer(0.05, watched.publish, ["orders", b"one"])
    later.start()
    watched.topic("orders").assert_published(1)
    later.join()


def test_the_error_shows_what_was_seen(watched: Any, connect: Any) -> None:
    client = connect()
    client.subscribe()
    watched.publish("orders", b"one", b"x" * 100)
    client.finish(client.read_message()[0])
    channel = watched.topic("orders").channel("billing")
    channel.assert_finished(1)
    channel.assert_in_flight(1)
    with pytest.raises(AssertionError) as caught:
        channel.assert_finished(2, timeout=0)
    assert str(caught.value) == (
        "channel orders/billing: expected 2 finished, seen 1 after 0 s\n"
        "  depth 0, in flight 1, deferred 0, consumers 1, delivered 2, finished 1, requeued 0, touched 0, "
        "timed out 0\n"
        f"  delivered: b'one', {b'x' * 60!r}...\n"
        "  finished: b'one'"
    )


def test_too_many_fail_at_once(watched: Any) -> None:
    watched.publish("orders", *(b"%d" % number for number in range(12)))
    with pytest.raises(AssertionError, match=r"expected 11 published, seen 12\n  published: .* and 2 more"):
        watched.topic("orders").assert_published(11, timeout=60)


def test_touches_are_seen(watched: Any, connect: Any) -> None:
    client = connect()
    client.subscribe()
    watched.publish("orders", b"one")
    message_id, _, _ = client.read_message()
    client.send(b"TOUCH " + message_id + b"\n", b"TOUCH " + b"0" * 16 + b"\n")
    channel = watched.topic("orders").channel("billing")
    channel.assert_touched(1)
    assert [seen.body for seen in channel.touched] == [b"one"]
    assert client.read().startswith(b"E_TOUCH_FAILED")


def test_they_outlive_the_daemon(watched: Any) -> None:
    watched.publish("orders", b"one")
    watched.stop()
    watched.topic("orders").assert_published(1)
    watched.topic("orders").channel("billing").assert_finished(0)


async def test_in_a_loop_they_say_how_to(watched: Any) -> None:
    with pytest.raises(RuntimeError, match=r"await asyncio\.to_thread\(channel\.assert_finished, 3\)"):
        watched.topic("orders").channel("billing").assert_finished(3)


@pytest.mark.real
def test_a_real_nsqd_tells_by_its_figures(original: Any, connect_to: Any) -> None:
    client = connect_to(original)
    client.subscribe()
    original.publish("orders", b"one", b"two")
    client.finish(client.read_message()[0])
    client.send(b"REQ " + client.read_message()[0] + b" 5000\n")
    channel = original.topic("orders").channel("billing")
    original.topic("orders").assert_published(2)
    channel.assert_finished(1)
    channel.assert_requeued(1)
    channel.assert_deferred(1)
    with pytest.raises(AssertionError, match="expected 2 finished, seen 1 after 0 s\n  depth 0, in flight 0"):
        channel.assert_finished(2, timeout=0)
    with pytest.raises(AssertionError, match=r"expected 3 published, seen 2 after 0 s$"):
        original.topic("orders").assert_published(3, timeout=0)


@pytest.mark.real
def test_what_a_real_nsqd_cannot(original: Any) -> None:
    for ask in (
        lambda: original.clock,
        lambda: original.faults,
        lambda: original.topic("orders").published,
        lambda: original.topic("orders").channel("billing").finished,
        lambda: original.topic("orders").channel("billing").assert_touched(0),
    ):
        with pytest.raises(OnlyInProcess, match=r"real nsqd.*without --nsq-real"):
            ask()
