"""What failed and is sent again: until one deadline, without haste, in order, and told once."""

from __future__ import annotations

import asyncio
import logging

import pytest

from harness.polling import eventually_async
from harness.producing import producer_of
from harness.scripted import OK, ScriptedNsqd, Session, error
from nsqgw.errors import (
    Closed,
    ConnectionClosed,
    DeadlineExceeded,
    NotConnected,
    PubFailed,
    PublishError,
    Unprocessed,
)
from nsqgw.instrument import Disconnected, Fact, PublishingAgain

DISK_FULL = error("E_PUB_FAILED PUB failed no space left on device")


def pubs(*fakes: ScriptedNsqd) -> int:
    return sum(len(session.lines("PUB")) for fake in fakes for session in fake.sessions)


@pytest.mark.parametrize("timeout", [None, 1.0])
async def test_what_is_never_stored_fails_at_the_deadline(fake: ScriptedNsqd, timeout: float | None) -> None:
    fake.answers["PUB"] = DISK_FULL
    async with producer_of(fake, publish_timeout=1.0 if timeout is None else 60.0) as producer:
        await producer.wait_connected(5)
        with pytest.raises(
            PublishError, match=rf"within 1 s.*tried \d+ times: {fake.address}: E_PUB_FAILED PUB failed no"
        ) as c:
            await asyncio.wait_for(producer.publish("t", b"x", timeout=timeout), 10)
        assert isinstance(c.value.__cause__, PubFailed)
        assert pubs(fake) > 1
        assert (producer.stats.failed, producer.stats.outstanding) == (1, 0)
        fake.answers["PUB"] = OK
        await producer.publish("t", b"y")


async def test_tries_are_not_made_in_haste(fake: ScriptedNsqd) -> None:
    """The pauses double: there is no connection to wait for in between, and yet no try follows the other."""
    fake.answers["PUB"] = DISK_FULL
    async with ScriptedNsqd(answers={"PUB": DISK_FULL}) as other:
        options = {"reconnect_min_delay": 0.1, "reconnect_max_delay": 10.0}
        async with producer_of(fake, other, publish_timeout=1.0, **options) as producer:
            await eventually_async(lambda: len(producer.stats.connected) == 2)
            with pytest.raises(PublishError, match="tried"):
                await producer.publish("t", b"x")
            # At most: at once, at once on the other one, then after at least 0.05, 0.1, 0.2 and 0.4 s.
            assert 2 <= pubs(fake, other) <= 6


async def test_the_deadline_holds_on_the_wire_too(fake: ScriptedNsqd) -> None:
    """Sent again and not answered: nobody knows whether it is stored."""
    answers: list[bytes | None] = [DISK_FULL]
    fake.answers["PUB"] = lambda session, line: answers.pop() if answers else None
    connection = producer_of(fake).config.connection
    async with producer_of(fake, publish_timeout=0.3, connection=connection) as producer:
        await producer.wait_connected(5)
        with pytest.raises((DeadlineExceeded, ConnectionClosed)) as caught:
            await asyncio.wait_for(producer.publish_soon("t", b"x"), 10)
        if isinstance(caught.value, DeadlineExceeded):
            assert "did not confirm within 0.3 s of its first failure" in str(caught.value)
        await eventually_async(lambda: producer.stats.outstanding == 0)


async def test_doubt_stays(fake: ScriptedNsqd) -> None:
    """Once it may have been stored, a later certain failure does not make the whole certain."""

    def drop_then_refuse(session: Session, line: str) -> bytes | None:
        if session is fake.sessions[0]:
            session.drop()
            return None
        return DISK_FULL

    fake.answers["PUB"] = drop_then_refuse
    async with producer_of(fake, retry_unknown=True, publish_timeout=0.5) as producer:
        await producer.wait_connected(5)
        with pytest.raises((ConnectionClosed, DeadlineExceeded)) as caught:
            await asyncio.wait_for(producer.publish("t", b"x"), 10)
        assert not isinstance(caught.value, Unprocessed)
        assert pubs(fake) > 1


async def test_a_lost_connection_is_one_fact_and_no_task_each(
    fake: ScriptedNsqd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fake.answers["PUB"] = None
    facts: list[Fact] = []
    async with producer_of(fake, on_fact=facts.append) as producer:
        await producer.wait_connected(5)
        futures = [producer.publish_soon("t", b"%d" % number) for number in range(1000)]
        session = await fake.session()
        await session.received("PUB", 1000)
        session.send(error("E_PUB_FAILED PUB failed exiting"))
        await eventually_async(lambda: any(isinstance(fact, PublishingAgain) for fact in facts))
        assert len(asyncio.all_tasks()) < 20
        again = await fake.session(1)
        await again.received("PUB", 1000)
        again.send(OK * 1000)
        await asyncio.gather(*futures)
        # The refused one last: it would take the others with it again.
        assert again.bodies[1:] == [b"%d" % number for number in [*range(1, 1000), 0]]
        assert [fact.messages for fact in facts if isinstance(fact, PublishingAgain)] == [1000]
        assert len([fact for fact in facts if isinstance(fact, Disconnected)]) == 1
    assert len(caplog.records) < 10


async def test_what_left_is_sent_again_before_what_did_not(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, retry_unknown=True) as producer:
        await producer.wait_connected(5)
        futures = [producer.publish_soon("t", b"%d" % number) for number in range(3)]
        await (await fake.session()).received("PUB", 3)
        fake.answers["PUB"] = OK
        futures += [producer.publish_soon("t", b"%d" % number) for number in range(3, 6)]
        producer._pool._alive[0].close(ConnectionClosed("cut"))
        await asyncio.gather(*futures)
        assert (await fake.session(1)).bodies[1:] == [b"%d" % number for number in range(6)]


async def test_one_that_is_never_stored_takes_no_others_with_it(fake: ScriptedNsqd) -> None:
    def refuse_bad(session: Session, line: str) -> bytes:
        return DISK_FULL if line == "PUB bad" else OK

    fake.answers["PUB"] = refuse_bad
    async with producer_of(fake, publish_timeout=1.0) as producer:
        await producer.wait_connected(5)
        bad = producer.publish_soon("bad", b"x")
        good = [producer.publish_soon("good", b"%d" % number) for number in range(100)]
        await asyncio.gather(*good)
        assert not bad.done()
        with pytest.raises(PublishError, match="tried"):
            await bad


async def test_a_key_is_kept_when_sent_again(fake: ScriptedNsqd) -> None:
    async with ScriptedNsqd() as other, producer_of(fake, other) as producer:
        await eventually_async(lambda: len(producer.stats.connected) == 2)
        await producer.publish("t", b"first", key=b"key")
        home, away = (fake, other) if pubs(fake) else (other, fake)
        answers = [DISK_FULL]
        away.answers["PUB"] = lambda session, line: answers.pop() if answers else OK
        await home.stop()
        await eventually_async(lambda: producer.stats.connected == (away.address,))
        await producer.publish("t", b"second", key=b"key")
        assert pubs(away) == 2
        await home.start()


async def test_cancelled_while_it_waits_to_be_sent_again(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = DISK_FULL
    async with producer_of(fake, reconnect_min_delay=5.0, reconnect_max_delay=5.0) as producer:
        await producer.wait_connected(5)
        future = producer.publish_soon("t", b"x")
        await eventually_async(lambda: producer._outbox._ready)
        future.cancel()
        await eventually_async(lambda: producer.stats.outstanding == 0)
        assert not producer._outbox._known
        assert not producer._outbox._timers


async def test_stop_ends_what_waits_to_be_sent_again(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = DISK_FULL
    producer = producer_of(fake, reconnect_min_delay=5.0, reconnect_max_delay=5.0)
    await producer.start()
    await producer.wait_connected(5)
    future = producer.publish_soon("t", b"x")
    await eventually_async(lambda: producer._outbox._ready)
    await asyncio.wait_for(producer.stop(0.05), 5)
    with pytest.raises(Closed) as caught:
        await future
    assert isinstance(caught.value.__cause__, PubFailed)
    assert (producer.stats.failed, producer.stats.outstanding) == (1, 0)


async def test_what_is_lost_while_stopping_is_sent_again_within_the_time_for_that(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    producer = producer_of(fake)
    await producer.start()
    await producer.wait_connected(5)
    future = producer.publish_soon("t", b"x")
    session = await fake.session()
    await session.received("PUB")
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.sleep(0)
    fake.answers["PUB"] = OK
    session.send(DISK_FULL)
    await asyncio.wait_for(stopping, 5)
    await future
    assert producer.stats.published == 1


async def test_what_just_was_published_is_sent_though_stop_comes_at_once(fake: ScriptedNsqd) -> None:
    """Before there is a connection, too."""
    async with producer_of(fake) as producer:
        future = producer.publish_soon("t", b"x")
    await asyncio.wait_for(future, 5)


async def test_no_connection_after_a_broken_one_is_told_as_that(fake: ScriptedNsqd) -> None:
    """Nothing was sent, so it is certain that nothing is stored."""
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        await fake.stop()
        await eventually_async(lambda: not producer.stats.connected)
        with pytest.raises(NotConnected, match=r"no nsqd connected within 0\.1 s"):
            await producer.publish("t", b"x", timeout=0.1)
    await fake.start()
