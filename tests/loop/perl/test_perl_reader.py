"""The Reader shaped as AnyEvent::NSQ's: callbacks, answers, RDY, and the bugs it does not have."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from compat.perl import Message, Reader
from harness.polling import eventually_async
from harness.scripted import HEARTBEAT, ScriptedNsqd, error, message_id
from nsqgw.errors import ConfigError, MessageError


def reader(record: Any, *nsqds: ScriptedNsqd, **options: Any) -> Reader:
    """A reader of topic `t`, channel `ch`; messages and errors are recorded."""
    callbacks = {name: record(name) for name in ("connect_cb", "identify_cb", "disconnect_cb", "error_cb")}
    arguments = callbacks | {"message_cb": record("message_cb")} | options
    return Reader(topic="t", channel="ch", nsqd_tcp_addresses=[nsqd.address for nsqd in nsqds], **arguments)


async def first(record: Any, count: int = 1) -> list[Message]:
    await eventually_async(lambda: len(record.of("message_cb")) >= count, what="messages")
    return [message for _, message in record.of("message_cb")]


async def test_callbacks_come_in_order_with_their_arguments(fake: ScriptedNsqd, record: Any) -> None:
    client = reader(record, fake)
    session = await fake.subscribed()
    session.deliver(1, body=b"hello", attempts=2)
    (message,) = await first(record)
    assert client.mark_as_done_msg(message) is True
    await session.received("FIN")
    client.disconnect(record("disconnect"))
    await client.wait_closed()

    assert session.commands == [
        "IDENTIFY",
        "SUB t ch",
        "RDY 250",
        f"FIN {message_id(1).decode()}",
        "CLS",
    ]
    assert record.names == ["connect_cb", "identify_cb", "message_cb", "disconnect", "disconnect_cb"]
    ((connection,),) = record.of("connect_cb")
    assert f"{connection.host}:{connection.port}" == fake.address
    ((told, of, info),) = record.of("identify_cb")
    assert (told, of, info["max_rdy_count"]) == (client, connection, 2500)
    assert record.of("disconnect") == [(connection, connection, {"msg": "CLOSE_WAIT"})]
    assert record.of("disconnect_cb") == [(client, connection)]
    assert dict(message) == {
        "attempts": 2,
        "message_id": message_id(1).decode(),
        "tstamp": 1_700_000_000_000_000_001,
        "message": b"hello",
    }
    assert message.message == message["message"]


async def test_answers_go_where_the_message_came_from(record: Any) -> None:
    async with ScriptedNsqd() as one, ScriptedNsqd() as two, reader(record, one, two) as client:
        sessions = [await one.subscribed(), await two.subscribed()]
        for number, session in enumerate(sessions):
            session.deliver(7, 8 + number)  # both have a message 7: ids are unique on one nsqd only
        messages = await first(record, 4)
        for message in messages[:3]:
            client.mark_as_done_msg(message)
        client.mark_as_done_msg(messages[3].message_id)  # by its id, which only one of them has
        fins = [sorted(session.ids("FIN")) for session in sessions if await session.received("FIN", 2)]
        assert sorted(fins) == [[7, 8], [7, 9]]


async def test_ready_count_is_shared_over_connections_and_told_once(record: Any) -> None:
    async with (
        ScriptedNsqd() as one,
        ScriptedNsqd() as two,
        reader(record, one, two, ready_count=10) as client,
    ):
        for fake in (one, two):
            await (await fake.subscribed()).seen("RDY 5")
        session = one.sessions[0]
        session.deliver(*range(20))
        for message in await first(record, 20):
            client.mark_as_done_msg(message)
        await session.received("FIN", 20)
        assert session.lines("RDY")[-1] == "RDY 5"
        assert len(session.lines("RDY")) <= 2
        client.ready(4)
        await session.seen("RDY 2")
        client.ready(0)
        await two.sessions[0].seen("RDY 0")


async def test_it_connects_again(fake: ScriptedNsqd, record: Any) -> None:
    async with reader(record, fake) as client:
        session = await fake.subscribed()
        session.deliver(1)
        (message,) = await first(record)
        session.drop()
        again = await fake.subscribed(1)
        with pytest.raises(MessageError, match="not in flight"):
            client.mark_as_done_msg(message)
        again.deliver(1, attempts=2)
        client.mark_as_done_msg((await first(record, 2))[1])
        await again.received("FIN")
    assert record.names.count("disconnect_cb") == 2
    ((short, text),) = record.of("error_cb")
    host, port = fake.address.split(":")
    assert text == f"nsqd at host '{host}' port {port}: {short}"


@pytest.mark.parametrize("code", ["E_FIN_FAILED", "E_REQ_FAILED", "E_TOUCH_FAILED"])
async def test_a_late_answer_does_no_harm(fake: ScriptedNsqd, record: Any, code: str) -> None:
    async with reader(record, fake):
        session = await fake.subscribed()
        session.send(error(f"{code} too late"))
        session.deliver(1)
        await first(record)
        assert [short for short, _ in record.of("error_cb")] == [f"{code} too late"]
        assert "disconnect_cb" not in record.names


async def test_an_error_frame_ends_the_connection_and_a_new_one_is_made(
    fake: ScriptedNsqd, record: Any
) -> None:
    async with reader(record, fake):
        (await fake.subscribed()).send(error("E_INVALID what was that"))
        await fake.subscribed(1)
        assert record.names[:4] == ["connect_cb", "identify_cb", "error_cb", "disconnect_cb"]
        assert record.of("error_cb")[0][0] == "E_INVALID what was that"


@pytest.mark.parametrize(
    ("requeue_delay", "delay", "sent"),
    [
        (None, None, 0),
        (None, 1500, 1500),
        (None, -1, 3 * 90_000),
        (2.5, None, 2500),
        (2.5, 0, 0),
        (2.5, -1, 3 * 2500),
    ],
)
async def test_requeueing_waits(
    fake: ScriptedNsqd, record: Any, requeue_delay: float | None, delay: float | None, sent: int
) -> None:
    async with reader(record, fake, requeue_delay=requeue_delay) as client:
        session = await fake.subscribed()
        session.deliver(1, attempts=3)
        (message,) = await first(record)
        assert client.touch_msg(message)
        assert client.touch_message(message)
        assert client.requeue_msg(message, delay)
        assert await session.received("REQ") == [f"REQ {message.message_id} {sent}"]
        assert len(session.lines("TOUCH")) == 2
        with pytest.raises(MessageError, match="not in flight"):
            client.touch_msg(message)


async def test_what_a_callback_raises_is_logged_and_the_next_message_comes(
    fake: ScriptedNsqd, record: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def received(client: Reader, message: Message) -> None:
        if message.message == b"bad":
            raise KeyError("bad body")
        record("message_cb")(client, message)

    async with reader(record, fake, message_cb=received):
        session = await fake.subscribed()
        session.deliver(1, body=b"bad")
        session.deliver(2)
        await first(record)
        session.send(HEARTBEAT)
        await session.seen("NOP")
    assert "received failed" in caplog.text
    assert "bad body" in caplog.text


async def test_no_program_dies_of_an_nsqd_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    fake = ScriptedNsqd()
    await fake.start()
    await fake.stop()
    async with Reader(topic="t", channel="ch", nsqd_tcp_addresses=fake.address, message_cb=print):
        await eventually_async(lambda: "the next try is in" in caplog.text)
        await fake.start()
        with contextlib.closing(await fake.subscribed()):
            pass
    await fake.stop()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give either nsqd_tcp_addresses or lookupd_http_addresses"),
        ({"nsqd_tcp_addresses": "a", "lookupd_http_addresses": "b:1"}, "give either"),
        ({"nsqd_tcp_addresses": "a", "ready_count": 0}, "ready_count = 0"),
        ({"nsqd_tcp_addresses": "a", "error_cb": "x"}, "error_cb = 'x' must be a function"),
        ({"nsqd_tcp_addresses": "a:b"}, "'a:b' is not of the form host:port"),
        ({"nsqd_tcp_addresses": "a", "requeue_delay": -1}, "delay = -1"),
        ({"nsqd_tcp_addresses": "a", "message_cb": None}, "message_cb is missing"),
        ({"nsqd_tcp_addresses": "a", "channel": "no channel"}, "no channel"),
    ],
)
async def test_wrong_arguments_are_told_at_once(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Reader(**({"topic": "t", "channel": "ch", "message_cb": print} | arguments))


async def test_async_callbacks_are_refused() -> None:
    async def received(client: Reader, message: Message) -> None:
        """Would never be awaited."""

    with pytest.raises(ConfigError, match="is async: give a plain function"):
        Reader(topic="t", channel="ch", nsqd_tcp_addresses="127.0.0.1", message_cb=received)
