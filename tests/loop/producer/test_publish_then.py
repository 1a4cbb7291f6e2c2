"""publish_then: told once, by a call, whatever way the message took."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.polling import eventually_async
from harness.scripted import QUICK, ScriptedNsqd, error
from nsqgw import Producer
from nsqgw.errors import (
    BadTopic,
    Closed,
    ConnectionClosed,
    MessageTooBig,
    NSQError,
    PublishError,
)


class Outcomes:
    """What the functions given to publish_then were told."""

    def __init__(self) -> None:
        self.heard: dict[int, list[NSQError | None]] = {}

    def of(self, number: int) -> Any:
        self.heard[number] = []
        return self.heard[number].append

    async def all_told(self) -> list[NSQError | None]:
        """The outcomes in order, each told once."""
        await eventually_async(lambda: all(self.heard.values()), what=f"all are told: {self.heard}")
        assert all(len(heard) == 1 for heard in self.heard.values()), self.heard
        return [heard[0] for heard in self.heard.values()]


def producer_of(*fakes: ScriptedNsqd, **options: Any) -> Producer:
    return Producer([fake.address for fake in fakes], **(QUICK | options))


async def test_confirmed_ones_are_told_none(fake: ScriptedNsqd) -> None:
    outcomes = Outcomes()
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        for number in range(1000):
            producer.publish_then("t", b"%d" % number, outcomes.of(number))
        assert await outcomes.all_told() == [None] * 1000
        assert producer.stats.published == 1000
    assert fake.sessions[0].bodies[1:] == [b"%d" % number for number in range(1000)]


async def test_each_answer_may_publish_the_next(fake: ScriptedNsqd) -> None:
    """With a window no larger than what is outstanding: an answer makes room before it is told."""
    left = 500
    done = asyncio.Event()

    def then(problem: NSQError | None) -> None:
        nonlocal left
        assert problem is None
        left -= 1
        if left >= 10:
            producer.publish_then("t", b"x", then)
        elif not left:
            done.set()

    async with producer_of(fake, max_outstanding=10) as producer:
        await producer.wait_connected(5)
        for _ in range(10):
            producer.publish_then("t", b"x", then)
        await asyncio.wait_for(done.wait(), 15)
        assert producer.stats.published == 500


async def test_what_waits_for_a_connection_or_for_room_is_told_too(fake: ScriptedNsqd) -> None:
    outcomes = Outcomes()
    async with producer_of(fake, max_outstanding=5) as producer:
        for number in range(10):
            producer.publish_then("t", b"%d" % number, outcomes.of(number))
        told: list[NSQError | None] = []
        with pytest.raises(PublishError, match="in line"):
            producer.publish_then("t", b"x", told.append)
        assert told == []
        assert await outcomes.all_told() == [None] * 10


@pytest.mark.parametrize("options", [{"delay": 1.5}, {"key": b"k"}, {"timeout": 5.0}])
async def test_the_arguments_of_publish(fake: ScriptedNsqd, options: dict[str, Any]) -> None:
    outcomes = Outcomes()
    async with producer_of(fake) as producer:
        producer.publish_then("t", b"x", outcomes.of(0), **options)
        assert await outcomes.all_told() == [None]
    assert fake.sessions[0].commands[1] == ("DPUB t 1500" if "delay" in options else "PUB t")


async def test_merged_ones_are_told_too(fake: ScriptedNsqd) -> None:
    outcomes = Outcomes()
    async with producer_of(fake, merge=True) as producer:
        for number in range(3):
            producer.publish_then("t", b"%d" % number, outcomes.of(number))
        assert await outcomes.all_told() == [None] * 3
    assert fake.sessions[0].lines("MPUB") == ["MPUB t"]


async def test_a_refusal_is_told_as_the_error_of_publish(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = error("E_BAD_TOPIC PUB topic name")
    outcomes = Outcomes()
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        producer.publish_then("t", b"x", outcomes.of(0))
        assert isinstance((await outcomes.all_told())[0], BadTopic)
        assert producer.stats.failed == 1


async def test_lost_ones_are_told_of_the_doubt(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = lambda session, line: session.drop()
    outcomes = Outcomes()
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        producer.publish_then("t", b"x", outcomes.of(0))
        assert isinstance((await outcomes.all_told())[0], ConnectionClosed)


async def test_lost_ones_are_sent_again_where_that_is_asked_for(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = lambda session, line: session.drop()
    outcomes = Outcomes()
    bodies = [b"%d" % number for number in range(20)]
    async with ScriptedNsqd() as other, producer_of(fake, other, retry_unknown=True) as producer:
        await eventually_async(lambda: len(producer.stats.connected) == 2, what="both are connected")
        for number, body in enumerate(bodies):
            producer.publish_then("t", body, outcomes.of(number))
        assert await outcomes.all_told() == [None] * 20
        assert producer.stats.published == 20
        assert {body for session in other.sessions for body in session.bodies[1:]} == set(bodies)


async def test_without_any_nsqd_the_deadline_is_told(fake: ScriptedNsqd) -> None:
    await fake.stop()
    outcomes = Outcomes()
    async with producer_of(fake, publish_timeout=0.05) as producer:
        producer.publish_then("t", b"x", outcomes.of(0))
        assert isinstance((await outcomes.all_told())[0], PublishError)
    await fake.start()


async def test_stopping_tells_those_without_an_answer(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    outcomes = Outcomes()
    producer = producer_of(fake, max_outstanding=2)
    await producer.start()
    await producer.wait_connected(5)
    for number in range(4):
        producer.publish_then("t", b"x", outcomes.of(number))
    await producer.stop(0.05)
    told = await outcomes.all_told()
    assert [type(problem) for problem in told] == [ConnectionClosed, ConnectionClosed, Closed, Closed]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"topic": "bad topic"}, NSQError),
        ({"body": b""}, PublishError),
        ({"body": b"x" * 2000}, MessageTooBig),
    ],
)
async def test_wrong_arguments_raise_and_tell_nobody(
    fake: ScriptedNsqd, arguments: dict[str, Any], kind: type[NSQError]
) -> None:
    told: list[NSQError | None] = []
    async with producer_of(fake, max_message_size=1000) as producer:
        await producer.wait_connected(5)
        with pytest.raises(kind):
            producer.publish_then(**({"topic": "t", "body": b"x", "then": told.append} | arguments))
    assert told == []


async def test_after_the_end_it_raises(fake: ScriptedNsqd) -> None:
    async with producer_of(fake) as producer:
        pass
    with pytest.raises(Closed):
        producer.publish_then("t", b"x", lambda problem: None)
