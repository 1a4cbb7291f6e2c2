"""What waits for room and connections: in order, cancelled at any moment, bounded, and none left behind."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from typing import Any, cast

import pytest

from harness.scripted import OK, QUICK, ScriptedNsqd
from nsqgw import Producer, ProducerConfig
from nsqgw.connection import Connection
from nsqgw.errors import ConnectionClosed, DeadlineExceeded, NSQError, PublishError, Unprocessed
from nsqgw.producer.outbox import Outbox
from nsqgw.producer.pool import Pool
from nsqgw.producer.request import Deadline
from nsqgw.producer.window import Window


class FakeConnection:
    """Takes requests, and answers them when it is told to."""

    address = "nsqd:4150"

    def __init__(self) -> None:
        self.waiting: deque[tuple[asyncio.Future[None], bytes, int]] = deque()
        self.outbox: Outbox | None = None

    def ask(self, future: asyncio.Future[None], data: bytes, answer: bytes, count: int) -> None:
        self.waiting.append((future, data, count))

    def confirm(self) -> None:
        future, data, count = self.waiting.popleft()
        if not future.done():
            future.set_result(None)
        assert self.outbox is not None
        self.outbox.confirmed(len(data), count)

    def lose(self, error: NSQError) -> None:
        assert self.outbox is not None
        for _ in range(len(self.waiting)):
            future, data, count = self.waiting.popleft()
            self.outbox.lost(future, data, count, error)


class FakePool:
    def __init__(self) -> None:
        self.connection: FakeConnection | None = FakeConnection()

    def pick(self) -> Connection | None:
        return cast(Connection, self.connection) if self.connection is not None else None

    def pick_for(self, key: bytes) -> Connection | None:
        return self.pick()


def outbox_of(window: Window, **options: Any) -> tuple[Outbox, FakePool, FakeConnection]:
    pool = FakePool()
    config = ProducerConfig(reconnect_min_delay=0.001, reconnect_max_delay=0.001, **options)
    outbox = Outbox(cast(Pool, pool), window, config, lambda fact: None, PublishError)
    assert pool.connection is not None
    pool.connection.outbox = outbox
    return outbox, pool, pool.connection


def soon(seconds: float = 60.0) -> Deadline:
    return Deadline(asyncio.get_running_loop().time() + seconds, f"within {seconds:g} s")


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_they_are_sent_in_order_as_room_is_made() -> None:
    outbox, _, connection = outbox_of(Window(2, 100))
    futures = [outbox.add(b"%d" % number, 1, None, soon()) for number in range(6)]
    sent: list[bytes] = []
    while connection.waiting:
        assert len(connection.waiting) <= 2
        sent.append(connection.waiting[0][1])
        connection.confirm()
    assert sent == [b"%d" % number for number in range(6)]
    await asyncio.gather(*futures)
    assert (outbox.published, outbox.failed) == (6, 0)


async def test_a_large_one_at_the_head_is_not_overtaken() -> None:
    outbox, _, connection = outbox_of(Window(10, 10))
    for size in (5, 10, 1):
        outbox.add(b"x" * size, 1, None, soon())
    assert [len(data) for _, data, _ in connection.waiting] == [5]
    connection.confirm()
    assert [len(data) for _, data, _ in connection.waiting] == [10]
    connection.confirm()
    assert [len(data) for _, data, _ in connection.waiting] == [1]
    outbox.close()


async def test_cancelling_the_head_lets_the_next_in() -> None:
    outbox, _, connection = outbox_of(Window(10, 10))
    outbox.add(b"x" * 5, 1, None, soon())
    large = outbox.add(b"x" * 10, 1, None, soon())
    outbox.add(b"y", 1, None, soon())
    large.cancel()
    await turns()
    assert [data for _, data, _ in connection.waiting] == [b"xxxxx", b"y"]


async def test_cancelled_in_the_turn_in_which_it_could_go() -> None:
    window = Window(10, 10)
    outbox, pool, connection = outbox_of(window)
    pool.connection = None
    future = outbox.add(b"x", 1, None, soon())
    future.cancel()
    pool.connection = connection
    outbox.send()
    await turns()
    assert not connection.waiting
    assert window.count == 0


async def test_a_deadline_that_is_over_sends_nothing() -> None:
    outbox, _, connection = outbox_of(Window(10, 10))
    with pytest.raises(PublishError, match="not sent within 0 s"):
        outbox.add(b"x", 1, None, soon(0.0))
    assert not connection.waiting


@pytest.mark.parametrize("seed", range(20))
async def test_any_order_of_events_adds_up(seed: int) -> None:
    """Published, failed, cancelled, lost, sent again, late: at the end nothing stays behind."""
    chance = random.Random(seed)
    window = Window(5, 50)
    outbox, pool, connection = outbox_of(window, retry_unknown=bool(seed % 2), publish_timeout=0.05)
    futures: list[asyncio.Future[None]] = []
    for _ in range(300):
        step = chance.random()
        if step < 0.5:
            data, count = b"x" * chance.randint(1, 30), chance.randint(1, 3)
            with contextlib.suppress(PublishError):  # on a busy machine 1 ms is over before it begins
                futures.append(outbox.add(data, count, None, soon(chance.choice([0.001, 60.0]))))
        elif step < 0.75 and connection.waiting:
            connection.confirm()
        elif step < 0.8:
            pool.connection = None if pool.connection else connection
            outbox.send()
        elif step < 0.87:
            connection.lose(chance.choice([Unprocessed("lost"), ConnectionClosed("broken")]))
        elif futures:
            chance.choice(futures).cancel()
        if chance.random() < 0.3:
            await asyncio.sleep(0.001 * chance.randint(0, 1))
        assert window.count <= 5 or len(connection.waiting) <= 1
    pool.connection = connection
    outbox.send()
    while connection.waiting or outbox._ready or outbox._lost:
        if connection.waiting:
            connection.confirm()
        await turns(2)
    await asyncio.wait_for(window.wait_empty(), 5)
    await asyncio.wait(futures, timeout=5)
    await turns()
    assert (window.count, window._bytes, window._line_count, window._line_bytes) == (0, 0, 0, 0)
    assert not any([outbox._known, outbox._timers, outbox._pauses, outbox._delays, outbox._line])
    kinds = {type(future.exception()) for future in futures if not future.cancelled()}
    assert kinds <= {type(None), Unprocessed, ConnectionClosed, DeadlineExceeded, PublishError}


# -- how much may wait


async def test_publish_soon_is_bounded_and_publish_waits(fake: ScriptedNsqd) -> None:
    await fake.stop()
    options = QUICK | {"on_fact": lambda fact: None, "max_outstanding": 10}
    async with Producer([fake.address], **options) as producer:
        futures = [producer.publish_soon("t", b"%d" % number) for number in range(20)]
        with pytest.raises(PublishError, match=r"10 publishes are unanswered and as much again is in line"):
            producer.publish_soon("t", b"x")
        tasks = [asyncio.ensure_future(producer.publish("t", b"more")) for _ in range(30)]
        await turns()
        with pytest.raises(PublishError):
            producer.publish_soon("t", b"x", key=b"key", timeout=5.0)
        assert not any(future.done() for future in futures + tasks)
        await fake.start()
        await asyncio.wait_for(asyncio.gather(*futures, *tasks), 10)
        assert producer.stats.published == 50
        await producer.publish_soon("t", b"x")


async def test_the_bound_is_in_bytes_too_and_holds_for_merged_ones(fake: ScriptedNsqd) -> None:
    fake.answers["MPUB"] = None
    options = {"max_outstanding_bytes": 2000, "max_batch_size": 508, "max_message_size": 500, "merge": True}
    async with Producer([fake.address], **QUICK | {"on_fact": lambda fact: None} | options) as producer:
        await producer.wait_connected(5)
        futures = []
        while not producer._window.line_full:
            futures.append(producer.publish_soon("t", b"x" * 500))
            assert len(futures) < 12
        with pytest.raises(PublishError, match="is in line"):
            producer.publish_soon("t", b"x" * 500)
        fake.answers["MPUB"] = OK
        session = await fake.session()
        await session.received("MPUB")
        session.send(OK * len(session.lines("MPUB")))
        await asyncio.wait_for(asyncio.gather(*futures), 10)
