"""A Connection by itself: connected, identified and subscribed by the program."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compat.perl import Connection
from compat.perl.connection import Info
from harness.polling import eventually_async
from harness.scripted import HEARTBEAT, ScriptedNsqd, message_id
from nsqgw.config import USER_AGENT
from nsqgw.errors import ConfigError, NotConnected


def connection(fake: ScriptedNsqd, connect_cb: Any, **options: Any) -> Connection:
    host, port = fake.address.split(":")
    return Connection(host=host, port=int(port), connect_cb=connect_cb, **options)


async def test_the_program_leads_through_the_dialogue(fake: ScriptedNsqd, record: Any) -> None:
    def on_identified(conn: Connection, info: Info) -> None:
        conn.subscribe("t", "ch", record("message_cb"))
        conn.ready(7)
        conn.publish("t", b"body", record("published"))
        conn.nop()

    def on_connected(conn: Connection) -> None:
        conn.identify(record("identified", on_identified))

    conn = connection(
        fake,
        record("connected", on_connected),
        disconnect_cb=record("disconnected"),
        heartbeat_cb=record("heartbeat"),
    )
    session = await fake.subscribed()
    session.deliver(1, 2, 3)
    await eventually_async(lambda: len(record.of("message_cb")) == 3)
    one, two, three = (message for _, message in record.of("message_cb"))
    assert conn.mark_as_done_msg(one)
    assert conn.requeue_msg(two.message_id, 20)
    assert conn.touch_msg(three)
    session.send(HEARTBEAT)
    await session.seen("NOP", 2)
    conn.disconnect(record("disconnect"))
    await conn.wait_closed()
    assert not conn.mark_as_done_msg(three)

    assert session.commands[:5] == ["IDENTIFY", "SUB t ch", "RDY 7", "PUB t", "NOP"]
    assert session.ids("FIN") == [1]
    assert session.lines("REQ") == [f"REQ {message_id(2).decode()} 20"]
    assert session.ids("TOUCH") == [3]
    assert record.of("published") == [(conn, {"msg": "OK"})]
    assert record.of("heartbeat") == [(conn,)]
    assert record.of("disconnect") == [(conn, conn, {"msg": "CLOSE_WAIT"})]
    assert record.names[:2] == ["connected", "identified"]
    assert record.names[-2:] == ["disconnect", "disconnected"]
    assert conn.identify_info["version"] == "1.3.0"


async def test_what_identify_tells(fake: ScriptedNsqd) -> None:
    names = {"client_id": "me", "hostname": "me.example", "user_agent": "mine/1 "}
    async with connection(fake, lambda conn: conn.identify(sample_rate=10), **names) as conn:
        await eventually_async(lambda: conn.identify_info)
    document = json.loads(fake.sessions[0].bodies[0])
    told = {key: document[key] for key in ("client_id", "short_id", "hostname", "long_id", "sample_rate")}
    assert told == {
        "client_id": "me",
        "short_id": "me",
        "hostname": "me.example",
        "long_id": "me.example",
        "sample_rate": 10,
    }
    assert document["user_agent"] == f"mine/1 {USER_AGENT}"
    assert document["heartbeat_interval"] == 30_000


async def test_a_lost_connection_stays_so_until_it_is_connected_again(
    fake: ScriptedNsqd, record: Any
) -> None:
    options = {"disconnect_cb": record("disconnected"), "error_cb": record("error")}
    async with connection(fake, lambda conn: conn.identify(), **options) as conn:
        await eventually_async(lambda: conn.connected)
        fake.sessions[0].drop()
        await eventually_async(lambda: record.names == ["error", "disconnected"])
        with pytest.raises(NotConnected, match="not connected"):
            conn.publish("t", b"body")
        conn.connect()
        await eventually_async(lambda: conn.connected)
        conn.connect()
        assert len(fake.sessions) == 2


async def test_nobody_there(fake: ScriptedNsqd, record: Any) -> None:
    await fake.stop()
    conn = connection(fake, record("connected"), error_cb=record("error"), disconnect_cb=record("gone"))
    await conn.wait_closed()
    await fake.start()
    assert record.names == ["error"]


async def test_one_that_was_never_identified_ends_at_disconnect(fake: ScriptedNsqd, record: Any) -> None:
    conn = connection(fake, record("connected"))
    await eventually_async(lambda: record.names == ["connected"])
    conn.disconnect(record("disconnect"))
    await conn.wait_closed()
    await eventually_async(lambda: record.of("disconnect") == [(conn, conn, {})])


async def test_wrong_settings(fake: ScriptedNsqd) -> None:
    with pytest.raises(ConfigError, match="connect_cb is missing"):
        connection(fake, None)
    with pytest.raises(ConfigError, match="heartbeat_interval"):
        connection(fake, print, heartbeat_interval=5)
    async with connection(fake, print) as conn:
        with pytest.raises(ConfigError, match="flavour = 'x' is nothing that IDENTIFY"):
            conn.identify(flavour="x")
