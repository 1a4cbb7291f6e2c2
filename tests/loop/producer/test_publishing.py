"""Publishing against a scripted nsqd: answers in order, bounds, losses (C-CLI-26 to C-CLI-28)."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from harness.polling import eventually_async
from harness.scripted import HEARTBEAT, OK, QUICK, ScriptedNsqd, Session, error
from nsqgw import ConnectionConfig, Producer
from nsqgw.errors import (
    BadMessage,
    BadTopic,
    Closed,
    ConfigError,
    ConnectionClosed,
    DeadlineExceeded,
    InvalidName,
    MessageTooBig,
    MpubFailed,
    NotConnected,
    NSQError,
    PublishError,
)
from nsqgw.instrument import Fact, PublishingAgain


def producer_of(*fakes: ScriptedNsqd, **options: Any) -> Producer:
    facts: list[Fact] = []
    options = QUICK | {"on_fact": facts.append} | options
    return Producer([fake.address for fake in fakes], **options)


def outcomes(futures: list[asyncio.Future[None]]) -> list[type[BaseException] | None]:
    return [type(error) if (error := future.exception()) is not None else None for future in futures]


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


# -- commands


async def test_commands_are_exact(fake: ScriptedNsqd) -> None:
    async with producer_of(fake) as producer:
        await producer.publish("t", b"\x00body")
        await producer.publish("t#ephemeral", bytearray(b"array"))  # type: ignore[arg-type]
        await producer.publish("t", memoryview(b"view"))  # type: ignore[arg-type]
        await producer.publish("t", b"later", delay=1.5)
        await producer.publish("t", b"now", delay=0)
        await producer.publish_many("t", [b"a", b"bc"])
        session = await fake.session()
        assert session.commands[1:] == [
            "PUB t",
            "PUB t#ephemeral",
            "PUB t",
            "DPUB t 1500",
            "DPUB t 0",
            "MPUB t",
        ]
        assert session.bodies[1:6] == [b"\x00body", b"array", b"view", b"later", b"now"]
        assert session.bodies[6] == struct.pack(">ii1si2s", 2, 1, b"a", 2, b"bc")


def split(body: bytes) -> list[bytes]:
    """The messages of an MPUB."""
    (count,) = struct.unpack_from(">i", body)
    bodies, position = [], 4
    for _ in range(count):
        (size,) = struct.unpack_from(">i", body, position)
        bodies.append(body[position + 4 : position + 4 + size])
        position += 4 + size
    assert position == len(body)
    return bodies


@pytest.mark.parametrize("limit", [30, 31, 64, 600])
async def test_publish_many_splits_at_the_servers_limit(fake: ScriptedNsqd, limit: int) -> None:
    bodies = [bytes([number]) * (1 + number % 20) for number in range(60)]
    async with producer_of(fake, max_batch_size=limit, max_message_size=limit - 8) as producer:
        await producer.publish_many("t", iter(bodies))
        batches = (await fake.session()).bodies[1:]
        assert [body for batch in batches for body in split(batch)] == bodies
        assert all(len(batch) <= limit for batch in batches)
        if limit == 600:
            assert len(batches) == 2
        assert producer.stats.published == 60


async def test_the_largest_message_fits_into_a_batch(fake: ScriptedNsqd) -> None:
    """nsqd closes the connection over a batch above its limit, of one message too."""
    async with producer_of(fake, max_batch_size=40, max_message_size=32) as producer:
        await producer.publish_many("t", [b"x" * 32] * 3)
        assert [len(batch) for batch in (await fake.session()).bodies[1:]] == [40] * 3


async def test_publish_many_of_nothing_sends_nothing(fake: ScriptedNsqd) -> None:
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        await producer.publish_many("t", [])
        assert (await fake.session()).commands == ["IDENTIFY"]


async def test_a_refused_batch_stops_the_rest(fake: ScriptedNsqd) -> None:
    answers = iter([OK, error("E_MPUB_FAILED MPUB failed disk full")])
    fake.answers["MPUB"] = lambda session, line: next(answers)
    async with producer_of(fake, max_batch_size=20, max_message_size=12) as producer:
        with pytest.raises(MpubFailed, match="disk full"):
            await producer.publish_many("t", [b"12345678"] * 4)
        assert len((await fake.session()).lines("MPUB")) == 2
        assert (producer.stats.published, producer.stats.failed) == (1, 1)


# -- bounds and deadlines


async def test_outstanding_messages_are_bounded(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, max_outstanding=10) as producer:
        await producer.wait_connected(5)
        futures = [asyncio.ensure_future(producer.publish("t", b"%d" % number)) for number in range(35)]
        session = await fake.session()
        await session.received("PUB", 10)
        for answered in (10, 20, 30):
            session.send(OK * 10)
            await session.received("PUB", min(35, answered + 10))
            assert len(session.lines("PUB")) <= answered + 10
            assert producer.stats.outstanding <= 10
        session.send(OK * 5)
        await asyncio.gather(*futures)
        assert session.bodies[1:] == [b"%d" % number for number in range(35)]


async def test_outstanding_bytes_are_bounded(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, max_outstanding_bytes=100) as producer:
        await producer.wait_connected(5)
        futures = [producer.publish_soon("t", b"x" * 40) for _ in range(4)]
        session = await fake.session()
        await session.received("PUB", 2)
        session.send(OK)
        await session.received("PUB", 3)
        assert not futures[3].done()
        session.send(OK * 2)
        await session.received("PUB", 4)
        session.send(OK)
        await asyncio.gather(*futures)


async def test_a_full_window_ends_with_its_deadline(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, max_outstanding=1) as producer:
        await producer.wait_connected(5)
        first = producer.publish_soon("t", b"x")
        with pytest.raises(PublishError, match=r"not sent within 0\.05 s: 1 publishes are unanswered"):
            await producer.publish("t", b"y", timeout=0.05)
        session = await fake.session()
        session.send(OK)
        await first
        fake.answers["PUB"] = OK
        await producer.publish("t", b"z")
        assert session.bodies[1:] == [b"x", b"z"]


async def test_an_answer_that_does_not_come(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        with pytest.raises(DeadlineExceeded, match=f"{fake.address} did not confirm within"):
            await producer.publish("t", b"x", timeout=0.05)
        assert producer.stats.outstanding == 1
        session = await fake.session()
        session.send(OK)
        await eventually_async(lambda: producer.stats.outstanding == 0)
        assert producer.stats.published == 1


async def test_without_a_deadline_of_its_own_the_connection_ends(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, publish_timeout=0.1) as producer:
        await producer.wait_connected(5)
        with pytest.raises(ConnectionClosed, match="did not answer a command within"):
            await producer.publish("t", b"x")


async def test_cancelled_publishes_keep_the_accounts_right(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    async with producer_of(fake, max_outstanding=4) as producer:
        await producer.wait_connected(5)
        tasks = [asyncio.ensure_future(producer.publish("t", b"%d" % number)) for number in range(8)]
        session = await fake.session()
        await session.received("PUB", 4)
        for number in (0, 3, 5, 7):  # two on the wire, two waiting for room
            tasks[number].cancel()
        await asyncio.sleep(0)
        session.send(OK * 4)
        await session.received("PUB", 6)
        session.send(OK * 2)
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert [number for number, result in enumerate(done) if result is None] == [1, 2, 4, 6]
        assert session.bodies[1:] == [b"0", b"1", b"2", b"3", b"4", b"6"]
        await eventually_async(lambda: producer.stats.outstanding == 0)
        assert producer.stats.published == 6


async def test_cancelled_in_the_turn_of_the_answer(fake: ScriptedNsqd) -> None:
    """A publish with a time-out of its own: the cancellation is not swallowed by the answer."""
    fake.answers["PUB"] = None
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        publishing = asyncio.ensure_future(producer.publish("t", b"x", timeout=5.0))
        await (await fake.session()).received("PUB")
        assert producer._pool is not None
        producer._pool._alive[0]._replies.confirm(1)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        assert producer.stats.outstanding == 0


# -- stopping


async def test_stop_waits_for_the_answers(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    producer = producer_of(fake)
    await producer.start()
    await producer.wait_connected(5)
    futures = [producer.publish_soon("t", b"x") for _ in range(3)]
    session = await fake.session()
    await session.received("PUB", 3)
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    with pytest.raises(Closed):
        await producer.publish("t", b"y")
    session.send(OK * 3)
    await asyncio.wait_for(stopping, 5)
    await asyncio.gather(*futures)
    await session.end()


async def test_stop_with_a_deadline_fails_what_has_no_answer(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    producer = producer_of(fake, max_outstanding=2)
    await producer.start()
    await producer.wait_connected(5)
    futures = [producer.publish_soon("t", b"x") for _ in range(4)]
    await (await fake.session()).received("PUB", 2)
    await asyncio.wait_for(producer.stop(0.05), 5)
    await asyncio.wait(futures, timeout=5)
    assert outcomes(futures) == [ConnectionClosed, ConnectionClosed, Closed, Closed]
    assert producer.stats.outstanding == 0


async def test_stop_ends_those_that_wait_for_a_connection(fake: ScriptedNsqd) -> None:
    await fake.stop()
    producer = producer_of(fake)
    await producer.start()
    waiting = [producer.publish_soon("t", b"x"), asyncio.ensure_future(producer.wait_connected())]
    await asyncio.sleep(0.01)
    await asyncio.wait_for(producer.stop(0.0), 5)
    done, pending = await asyncio.wait(waiting, timeout=2)
    assert not pending
    assert all(isinstance(future.exception(), NotConnected | Closed) for future in done)
    await fake.start()


async def test_stopping_twice_and_never_started(fake: ScriptedNsqd) -> None:
    producer = producer_of(fake)
    with pytest.raises(Closed, match="not running"):
        await producer.publish("t", b"x")
    await producer.stop()
    await producer.start()
    with pytest.raises(Closed, match="make a new one"):
        await producer.start()
    await producer.wait_connected(5)
    await asyncio.gather(producer.stop(), producer.stop())
    await producer.stop()
    with pytest.raises(Closed):
        await producer.publish_many("t", [b"x"])
    with pytest.raises(Closed):
        await producer.wait_connected(1)


# -- wrong arguments


WRONG_PUBLISHES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"topic": "bad topic!"}, InvalidName, "topic name 'bad topic!' is not valid"),
    ({"topic": b"t"}, InvalidName, "must be a str, not bytes"),
    ({"topic": ["t"]}, InvalidName, "must be a str, not list"),
    ({"body": "text"}, TypeError, r"body must be bytes, not str; encode it, e\.g\. text\.encode\(\)"),
    ({"body": 5}, TypeError, "body must be bytes, not int"),
    ({"body": None}, TypeError, "body must be bytes, not NoneType"),
    ({"body": b""}, PublishError, "the body is empty"),
    ({"body": bytearray()}, PublishError, "the body is empty"),
    ({"body": bytes(101)}, MessageTooBig, "the body has 101 bytes, max_message_size is 100"),
    ({"delay": -1}, ConfigError, "delay = -1 must be seconds, 0 or more"),
    ({"delay": "5"}, ConfigError, "delay = '5' must be seconds"),
    ({"delay": float("nan")}, ConfigError, "delay = nan must be seconds"),
    ({"delay": 10**12}, ConfigError, "delay = 1000000000000 must be seconds"),
    ({"delay": 3600.1}, ConfigError, r"delay = 3600\.1 is more than max_delay = 3600: .* -max-req-timeout"),
]


@pytest.mark.parametrize(("arguments", "kind", "words"), WRONG_PUBLISHES, ids=lambda value: str(value)[:40])
async def test_wrong_publishes_send_nothing(
    fake: ScriptedNsqd, arguments: dict[str, Any], kind: type[Exception], words: str
) -> None:
    async with producer_of(fake, max_message_size=100) as producer:
        await producer.wait_connected(5)
        with pytest.raises(kind, match=words):
            producer.publish_soon(**({"topic": "t", "body": b"x"} | arguments))
        with pytest.raises(kind, match=words):
            await producer.publish(**({"topic": "t", "body": b"x"} | arguments))
        if "delay" not in arguments:
            bodies = [b"fine", arguments.get("body", b"x")]
            with pytest.raises(kind, match=words):
                await producer.publish_many(arguments.get("topic", "t"), bodies)
        await producer.publish("t", b"x")
        assert (await fake.session()).commands == ["IDENTIFY", "PUB t"]
        assert producer.stats.outstanding == 0


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    ("127.0.0.1:4150", {}, r"must be a list of addresses, like \['127"),
    ([], {}, "nsqd_tcp_addresses is empty: name at least one nsqd"),
    (None, {}, "nsqd_tcp_addresses = None must be a list"),
    ([], {"lookupd_http_addresses": "127.0.0.1:4161"}, r"must be a list of addresses, like \['127"),
    ([], {"lookupd_http_addresses": ["localhost"]}, "nsqlookupd address 'localhost' has no port"),
    (["127.0.0.1:4150"], {"address_map": {"a:1": "b"}}, "address_map: 'a:1': 'b' must be host:port"),
    (["localhost"], {}, "'localhost' is not of the form host:port"),
    ([("localhost", 4150)], {}, "must be a str"),
    (["127.0.0.1:4150"], {"max_outstandin": 5}, "did you mean max_outstanding"),
    (["127.0.0.1:4150"], {"publish_timeout": 0}, "publish_timeout = 0"),
    (["127.0.0.1:4150"], {"config": ConnectionConfig()}, r"config = .* must be a ProducerConfig"),
]


@pytest.mark.parametrize(("addresses", "options", "words"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_producers(addresses: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Producer(addresses, **options)


async def test_a_topic_nsqd_refuses(fake: ScriptedNsqd) -> None:
    """Whatever the reason: the error is that of nsqd and the producer goes on."""
    fake.answers["PUB"] = error('E_BAD_TOPIC PUB topic name "t" is not valid')
    async with producer_of(fake) as producer:
        with pytest.raises(BadTopic):
            await producer.publish("t", b"x")
        fake.answers["PUB"] = OK
        await producer.publish("t", b"x")
        assert len(fake.sessions) == 2


async def test_a_refusal_is_an_nsq_error_of_the_session_it_came_from(fake: ScriptedNsqd) -> None:
    def refuse(session: Session, line: str) -> bytes:
        return error("E_NEW_AND_UNKNOWN oh") if session is fake.sessions[0] else OK

    fake.answers["PUB"] = refuse
    async with producer_of(fake) as producer:
        with pytest.raises(NSQError, match=f"^{fake.address}: E_NEW_AND_UNKNOWN oh$"):
            await producer.publish("t", b"x")
        await producer.publish("t", b"x")
