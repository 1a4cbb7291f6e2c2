"""Faults: each strikes what it was set for, looks to clients as nsqd's own would, and can be lifted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.polling import eventually
from nsqgw import Consumer, Message, Producer
from nsqgw.errors import ConfigError, DeadlineExceeded


def test_an_error_on_the_nth_command(watched: Any, connect: Any) -> None:
    fault = watched.faults.fail("PUB", nth=2, error="E_PUB_FAILED disk full")
    client = connect()
    for body in (b"one", b"two", b"three"):
        client.publish(b"orders", body)
    assert client.read() == b"OK"
    assert client.read() == b"E_PUB_FAILED disk full"
    assert client.read() == b""
    assert watched.topic("orders").published == [b"one"]
    assert (fault.seen, fault.struck) == (2, 1)


def test_an_error_that_is_not_fatal_leaves_the_connection(watched: Any, connect: Any) -> None:
    watched.faults.fail("FIN", nth=1)
    client = connect()
    client.subscribe()
    watched.publish("orders", b"one")
    message_id, _, _ = client.read_message()
    client.finish(message_id)
    assert client.read().startswith(b"E_FIN_FAILED")
    client.finish(message_id)
    watched.topic("orders").channel("billing").assert_finished(1)


def test_rdy_refused(watched: Any, connect: Any) -> None:
    watched.faults.refuse("RDY")
    client = connect()
    client.subscribe()
    assert client.read() == b"E_INVALID cannot RDY in current state"
    assert client.read() == b""


def test_a_command_dropped_and_the_fault_lifted(watched: Any, connect: Any) -> None:
    fault = watched.faults.drop("PUB")
    client = connect()
    client.publish(b"orders", b"lost")
    client.send(b"SUB orders billing\n")
    assert client.read() == b"OK"
    assert watched.topic("orders").published == []
    fault.lift()
    other = connect()
    other.publish(b"orders", b"kept")
    assert other.read() == b"OK"
    assert watched.topic("orders").published == [b"kept"]


def test_a_delay_goes_by_the_clock_and_keeps_the_order(watched: Any, connect: Any) -> None:
    watched.clock.freeze()
    fault = watched.faults.delay("PUB", 10.0, nth=1)
    client = connect()
    client.publish(b"orders", b"one")
    client.publish(b"orders", b"two")
    client.send(b"SUB orders billing\n")
    eventually(lambda: fault.struck, what="the first command to arrive")
    assert watched.topic("orders").published == []
    watched.clock.advance(10)
    assert watched.topic("orders").published[:1] == [b"one"]
    assert [client.read() for _ in range(3)] == [b"OK"] * 3
    assert watched.topic("orders").published == [b"one", b"two"]


def test_delay_and_error_add_up(watched: Any, connect: Any) -> None:
    watched.faults.delay("SUB", 0.01)
    watched.faults.fail("SUB")
    client = connect()
    client.send(b"SUB orders billing\n")
    assert client.read() == b"E_SUB_FAILED SUB failed on purpose"
    assert client.read() == b""


def test_every_command_of_a_run_is_delayed(watched: Any, connect: Any) -> None:
    fault = watched.faults.delay("FIN", 0.01)
    client = connect()
    client.subscribe()
    watched.publish("orders", *(b"%d" % number for number in range(5)))
    client.send(*(b"FIN " + client.read_message()[0] + b"\n" for _ in range(5)), b"NOP\n")
    watched.topic("orders").channel("billing").assert_finished(5)
    assert fault.struck == 5


def test_disconnected_after_so_many_messages(watched: Any, connect: Any) -> None:
    watched.faults.disconnect_after(messages=3)
    client = connect()
    watched.publish("orders", *(b"%d" % number for number in range(5)))
    client.subscribe()
    assert [client.read() for _ in range(4)] == [b"0", b"1", b"2", b""]
    again = connect()
    again.subscribe(channel=b"other")
    assert len(watched.topic("orders").channel("billing").delivered) == 3


def test_disconnected_in_place_of_a_command(watched: Any, connect: Any) -> None:
    watched.faults.disconnect("FIN", nth=2)
    client = connect()
    client.subscribe()
    watched.publish("orders", b"one", b"two")
    for _ in range(2):
        client.finish(client.read_message()[0])
    assert client.read() == b""
    assert [seen.body for seen in watched.topic("orders").channel("billing").finished] == [b"one"]


def test_a_message_comes_twice(watched: Any, connect: Any) -> None:
    watched.faults.duplicate(nth=2)
    client = connect()
    client.subscribe(rdy=1)
    watched.publish("orders", b"one", b"two")
    seen = []
    for _ in range(3):
        message_id, attempts, body = client.read_message()
        seen.append((body, attempts))
        client.finish(message_id)
    assert seen == [(b"one", 1), (b"two", 1), (b"two", 2)]
    watched.topic("orders").channel("billing").assert_finished(2)


def test_every_message_comes_twice_and_no_more(watched: Any, connect: Any) -> None:
    watched.faults.duplicate()
    client = connect()
    client.subscribe()
    watched.publish("orders", b"one", b"two")
    for _ in range(4):
        client.finish(client.read_message()[0])
    watched.topic("orders").channel("billing").assert_finished(2)
    assert watched.topic("orders").channel("billing").figures.depth == 0


async def test_a_consumer_gets_over_faults(watched: Any) -> None:
    faults = watched.faults
    faults.disconnect_after(messages=3)
    faults.fail("FIN", nth=5)
    faults.delay("FIN", 0.01, nth=2)
    faults.duplicate(nth=7)
    bodies: set[bytes] = set()

    def handle(message: Message) -> None:
        bodies.add(message.body)

    published = {b"%d" % number for number in range(20)}
    await asyncio.to_thread(watched.publish, "orders", *published)
    channel = watched.topic("orders").channel("billing")
    async with Consumer("orders", "billing", handle, nsqd_tcp_addresses=[watched.tcp_address]):
        while len({seen.body for seen in channel.finished}) < len(published):
            await asyncio.to_thread(watched.clock.advance, 61)  # what was lost with the connection times out
            await asyncio.sleep(0.01)
    assert bodies == published


async def test_a_producer_without_answers_meets_its_deadline(watched: Any) -> None:
    watched.faults.drop("PUB")
    async with Producer([watched.tcp_address], publish_timeout=0.3) as producer:
        with pytest.raises(DeadlineExceeded):
            await producer.publish("orders", b"one")


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (lambda faults: faults.drop("PUBLISH"), "command = 'PUBLISH' must be one of IDENTIFY, AUTH"),
        (lambda faults: faults.fail("PUB", error="E_OOPS"), "error = 'E_OOPS' must begin with one of E_"),
        (lambda faults: faults.fail("PUB", nth=0), "0 must be a count, 1 or more"),
        (lambda faults: faults.delay("PUB", -1.0), "seconds = -1.0 must be 0 or more"),
        (lambda faults: faults.delay("IDENTIFY", 1.0), "IDENTIFY cannot be delayed"),
        (lambda faults: faults.disconnect_after(0), "0 must be a count, 1 or more"),
    ],
)
def test_what_cannot_be_is_told(watched: Any, order: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        order(watched.faults)


def test_clear_takes_all_back(watched: Any, connect: Any) -> None:
    watched.faults.drop("PUB")
    watched.faults.clear()
    client = connect()
    client.publish(b"orders", b"one")
    assert client.read() == b"OK"
