"""Publishing against a scripted nsqd: answers in order, losses, whose turn it is (C-CLI-26 to C-CLI-28)."""

from __future__ import annotations

import asyncio

import pytest

from harness.polling import eventually_async
from harness.producing import outcomes, producer_of
from harness.scripted import HEARTBEAT, OK, ScriptedNsqd, error
from nsqgw.errors import BadMessage, ConnectionClosed, MpubFailed, NotConnected, PublishError
from nsqgw.instrument import Fact, PublishingAgain


async def test_c_cli_26_a_thousand_pipelined_publishes_resolve_in_order(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    order: list[int] = []
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        futures = [producer.publish_soon("t", b"%d" % number) for number in range(1000)]
        for number, future in enumerate(futures):
            future.add_done_callback(lambda _, number=number: order.append(number))
        session = await fake.session()
        await session.received("PUB", 1000)
        assert session.bodies[1:] == [b"%d" % number for number in range(1000)]
        session.send(OK * 300)
        await eventually_async(lambda: len(order) == 300)
        session.send(HEARTBEAT + OK * 699)
        await eventually_async(lambda: len(order) == 999)
        assert not futures[-1].done()
        session.send(OK)
        await asyncio.gather(*futures)
        assert order == list(range(1000))
        assert (producer.stats.published, producer.stats.failed, producer.stats.outstanding) == (1000, 0, 0)


async def test_c_cli_26_each_has_its_own_result(fake: ScriptedNsqd) -> None:
    """The refused one gets nsqd's error; nsqd did not come to what follows it, so that is sent again."""
    fake.answers["PUB"] = None
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        futures = [producer.publish_soon("t", b"%d" % number) for number in range(5)]
        session = await fake.session()
        await session.received("PUB", 5)
        session.send(OK * 2 + error("E_BAD_MESSAGE PUB message too big 5 > 4"))
        again = await fake.session(1)
        await again.received("PUB", 2)
        assert again.bodies[1:] == [b"3", b"4"]
        again.send(OK * 2)
        await asyncio.wait(futures)
        assert outcomes(futures) == [None, None, BadMessage, None, None]
        assert (producer.stats.published, producer.stats.failed, producer.stats.outstanding) == (4, 1, 0)


async def test_what_nsqd_failed_to_store_goes_to_another(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = error("E_PUB_FAILED PUB failed exiting")
    facts: list[Fact] = []
    async with ScriptedNsqd() as other, producer_of(fake, other, on_fact=facts.append) as producer:
        await eventually_async(lambda: len(producer.stats.connected) == 2)
        await asyncio.gather(*(producer.publish("t", b"%d" % number) for number in range(2)))
        assert sorted((await other.session()).bodies[1:]) == [b"0", b"1"]
    assert [fact.messages for fact in facts if isinstance(fact, PublishingAgain)] == [1]


async def test_what_never_left_is_sent_when_there_is_a_connection_again(fake: ScriptedNsqd) -> None:
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        await fake.stop()
        await eventually_async(lambda: not producer.stats.connected)
        publishing = asyncio.ensure_future(producer.publish("t", b"x"))
        await fake.start()
        await asyncio.wait_for(publishing, 10)
        assert (await fake.session(1)).bodies[1:] == [b"x"]


async def test_publishing_again_what_may_be_stored_is_a_choice(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, retry_unknown=True) as producer:
        await producer.wait_connected(5)
        futures = [producer.publish_soon("t", b"%d" % number) for number in range(3)]
        session = await fake.session()
        await session.received("PUB", 3)
        fake.answers["PUB"] = OK
        session.drop()
        await asyncio.gather(*futures)
        assert sorted((await fake.session(1)).bodies[1:]) == [b"0", b"1", b"2"]
        assert producer.stats.published == 3


async def test_sending_again_ends_at_the_deadline(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, retry_unknown=True, publish_timeout=0.2) as producer:
        await producer.wait_connected(5)
        future = producer.publish_soon("t", b"x")
        session = await fake.session()
        await session.received("PUB")
        await fake.stop()
        with pytest.raises(ConnectionClosed):  # and not NotConnected, which would say that it is not stored
            await future
        assert (producer.stats.failed, producer.stats.outstanding) == (1, 0)


async def test_a_key_stays_with_its_nsqd_and_keys_spread(fake: ScriptedNsqd) -> None:
    async with ScriptedNsqd() as other, producer_of(fake, other) as producer:
        await eventually_async(lambda: len(producer.stats.connected) == 2)
        keys = [b"key%d" % number for number in range(40)]
        await asyncio.gather(*(producer.publish("t", key, key=key) for key in keys * 3))
        here, there = (await fake.session()).bodies[1:], (await other.session()).bodies[1:]
        assert len(here) + len(there) == 120
        assert not set(here) & set(there)
        assert here
        assert there
        await other.stop()
        await eventually_async(lambda: len(producer.stats.connected) == 1)
        await producer.publish("t", b"moved", key=there[0])


async def test_merged_publishes_of_a_turn_are_one_mpub_per_topic(fake: ScriptedNsqd) -> None:
    async with producer_of(fake, merge=True, max_batch_size=100, max_message_size=60) as producer:
        await producer.wait_connected(5)
        await asyncio.gather(
            *(producer.publish("a", b"%d" % number) for number in range(3)),
            producer.publish("b", b"x" * 60),
            producer.publish("b", b"y" * 60),
        )
        session = await fake.session()
        assert session.lines("MPUB") == ["MPUB b", "MPUB a", "MPUB b"]
        assert session.lines("PUB") == []
        assert producer.stats.published == 5


async def test_a_merged_batch_shares_its_fate(fake: ScriptedNsqd) -> None:
    fake.answers["MPUB"] = error("E_MPUB_FAILED MPUB failed exiting")
    async with producer_of(fake, merge=True) as producer:
        await producer.wait_connected(5)
        futures = [producer.publish_soon("t", b"x") for _ in range(3)]
        futures[1].cancel()
        await asyncio.wait(futures)
        assert [type(future.exception()) for future in futures[::2]] == [MpubFailed, MpubFailed]
        assert (producer.stats.failed, producer.stats.outstanding) == (3, 0)


async def test_c_cli_27_a_lost_connection_fails_all_and_nothing_is_sent_again(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        futures = [producer.publish_soon("t", b"x") for _ in range(100)]
        session = await fake.session()
        await session.received("PUB", 100)
        session.send(OK * 10)
        await eventually_async(lambda: futures[9].done())
        session.drop()
        await asyncio.wait(futures)
        assert outcomes(futures) == [None] * 10 + [ConnectionClosed] * 90
        assert fake.address in str(futures[-1].exception())
        fake.answers["PUB"] = OK
        await producer.publish("t", b"after")
        assert (await fake.session(1)).bodies[1:] == [b"after"]


async def test_c_cli_28_heartbeats_confirm_nothing(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = HEARTBEAT
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        future = producer.publish_soon("t", b"x")
        session = await fake.session()
        await session.received("NOP")
        assert not future.done()
        session.send(OK)
        await future


@pytest.mark.parametrize("answer", [OK + OK, b"\x00\x00\x00\x0e\x00\x00\x00\x00CLOSE_WAIT", b"garbage!" * 9])
async def test_answers_nobody_asked_for_close_the_connection(fake: ScriptedNsqd, answer: bytes) -> None:
    fake.answers["PUB"] = answer
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        try:
            await producer.publish("t", b"x")
        except ConnectionClosed:
            assert not answer.startswith(OK)
        fake.answers["PUB"] = OK
        await (await fake.session()).end()
        await producer.publish("t", b"y")
        assert len(fake.sessions) == 2


async def test_a_publish_waits_for_a_connection(fake: ScriptedNsqd) -> None:
    await fake.stop()
    async with producer_of(fake) as producer:
        publishing = asyncio.ensure_future(producer.publish("t", b"x"))
        await asyncio.sleep(0.03)
        assert not publishing.done()
        await fake.start()
        await asyncio.wait_for(publishing, 5)
        assert fake.sessions[-1].bodies[1:] == [b"x"]


async def test_not_connected_names_address_and_cause(fake: ScriptedNsqd) -> None:
    await fake.stop()
    async with ScriptedNsqd(answers={"IDENTIFY": None}) as mute, producer_of(fake, mute) as producer:
        for attempt in (
            producer.publish("t", b"x", timeout=0.1),
            producer.wait_connected(0.1),
            producer.publish_many("t", [b"x"], timeout=0.1),
        ):
            with pytest.raises(NotConnected) as caught:
                await attempt
            assert f"no nsqd connected within 0.1 s: {fake.address}: Connection refused" in str(caught.value)
            assert f"{mute.address}: no answer yet" in str(caught.value)
            assert isinstance(caught.value, PublishError)
        assert producer.stats.outstanding == 0
    await fake.start()


async def test_the_living_are_used_in_turn(fake: ScriptedNsqd) -> None:
    async with ScriptedNsqd() as other, producer_of(fake, other) as producer:
        await eventually_async(lambda: len(producer.stats.connected) == 2)
        for _ in range(10):
            await producer.publish("t", b"x")
        assert len(fake.sessions[0].lines("PUB")) == len(other.sessions[0].lines("PUB")) == 5
        await fake.stop()
        await eventually_async(lambda: producer.stats.connected == (other.address,))
        for _ in range(4):
            await producer.publish("t", b"x")
        assert len(other.sessions[0].lines("PUB")) == 9
    await fake.start()


async def test_a_closed_connection_is_not_picked(fake: ScriptedNsqd) -> None:
    """Between the end of a connection and its replacement a publish waits; it does not fail."""
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        assert producer._pool is not None
        producer._pool._alive[0].close()
        await producer.publish("t", b"x")
        assert (await fake.session(1)).bodies[1:] == [b"x"]


async def test_publishes_of_one_turn_leave_in_one_write(fake: ScriptedNsqd) -> None:
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        assert producer._pool is not None
        wire = producer._pool._alive[0]._wire
        writes: list[bytes] = []
        write = wire.write
        wire.write = lambda data: writes.append(data) or write(data)  # type: ignore[method-assign]
        await asyncio.gather(*(producer.publish("t", b"x") for _ in range(50)))
        assert len(writes) == 1
