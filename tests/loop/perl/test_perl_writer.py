"""The Writer shaped as AnyEvent::NSQ's, and nsqlookupd for both."""

from __future__ import annotations

from typing import Any

import pytest

from compat.perl import Condvar, Reader, Writer
from compat.threaded import ThreadedNsqlookupd
from harness.announcing import announce
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd, error
from nsqgw.errors import NotConnected, PublishError


async def identified(*nsqds: ScriptedNsqd, **options: Any) -> Writer:
    """A writer that is connected to all."""
    writer = Writer(nsqd_tcp_addresses=[nsqd.address for nsqd in nsqds], **options)
    await eventually_async(lambda: len(writer.connections) == len(nsqds))
    return writer


async def test_publishing_calls_back(fake: ScriptedNsqd, record: Any) -> None:
    done = Condvar()
    async with await identified(fake) as writer:
        writer.publish("t", b"one", record("cb"))
        writer.publish("t", b"two", bytearray(b"three"), record("cb", lambda *_: done.send()))
        writer.publish("t", b"four", None)
        await done
        (connection,) = writer.connections
        assert record.of("cb") == [
            (writer, "t", [b"one"], connection, {"msg": "OK"}),
            (writer, "t", [b"two", b"three"], connection, {"msg": "OK"}),
        ]
        assert fake.sessions[0].commands[1:] == ["PUB t", "MPUB t", "PUB t"]


async def test_disconnecting_waits_for_the_answers_and_calls_back(fake: ScriptedNsqd, record: Any) -> None:
    writer = await identified(fake, disconnect_cb=record("disconnect_cb"))
    writer.publish("t", b"one", record("published"))
    writer.disconnect(record("disconnect"))
    await writer.wait_closed()
    assert record.names == ["published", "disconnect", "disconnect_cb"]
    ((connection, again, info),) = record.of("disconnect")
    assert (connection, info) == (again, {})
    writer.disconnect(record("nobody"))
    await eventually_async(lambda: record.of("nobody") == [(None, None, {})])


async def test_a_living_connection_is_chosen(record: Any) -> None:
    async with ScriptedNsqd() as one, ScriptedNsqd() as two, await identified(one, two) as writer:
        await one.stop()
        await eventually_async(lambda: len(writer.connections) == 1)
        for _ in range(10):
            writer.publish("t", b"body", record("cb"))
        await eventually_async(lambda: len(record.of("cb")) == 10)
        assert len(two.sessions[0].lines("PUB")) == 10
        await two.stop()
        await eventually_async(lambda: not writer.connections)
        with pytest.raises(NotConnected, match="publish in identify_cb"):
            writer.publish("t", b"body")
        await one.start()
        await two.start()


async def test_publishes_without_an_answer_are_told(record: Any) -> None:
    async with (
        ScriptedNsqd(answers={"PUB": None}) as fake,
        await identified(fake, error_cb=record("error_cb")) as writer,
    ):
        for _ in range(3):
            writer.publish("t", b"body", record("cb"))
        await fake.sessions[0].received("PUB", 3)
        fake.sessions[0].drop()
        await eventually_async(lambda: len(record.of("error_cb")) == 2)
        assert record.of("error_cb")[1][0].startswith("3 publishes were not confirmed")
        assert "cb" not in record.names


async def test_a_refused_publish_is_told(record: Any) -> None:
    async with (
        ScriptedNsqd(answers={"PUB": error("E_BAD_TOPIC no such")}) as fake,
        await identified(fake, error_cb=record("error_cb")) as writer,
    ):
        writer.publish("t", b"body", record("cb"))
        await eventually_async(lambda: record.of("error_cb"))
        assert record.of("error_cb")[0][0] == "E_BAD_TOPIC no such"
        assert record.names == ["error_cb"]


async def test_wrong_bodies_raise(fake: ScriptedNsqd) -> None:
    async with await identified(fake) as writer:
        with pytest.raises(TypeError, match="encode it"):
            writer.publish("t", "text")
        with pytest.raises(PublishError, match="at least one"):
            writer.publish("t")
        with pytest.raises(PublishError, match="empty"):
            writer.publish("t", b"one", b"")


async def test_nsqds_are_found_through_nsqlookupd(fake: ScriptedNsqd, record: Any) -> None:
    with ThreadedNsqlookupd() as lookupd, announce(lookupd, fake):
        found = {"lookupd_http_addresses": lookupd.http_address, "lookupd_poll_interval": 0.05}
        async with (
            Reader(topic="t", channel="ch", message_cb=print, lookup_cb=lambda: record("bare")(), **found),
            Writer(lookup_cb=record("found"), **found),
        ):
            await fake.session(1)
            await eventually_async(lambda: len(record.of("found")) > 1 and record.of("bare"))
            assert record.of("found")[0] == ([fake.address],)
            assert record.of("bare")[0] == ()
            assert len(fake.sessions) == 2
