"""The handshake against servers that follow the rules, and against those that do not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from harness.polling import eventually_async
from harness.scripted import FEATURES, HEARTBEAT, OK, ScriptedNsqd, Session, error, message, response
from nsqgw.config import ConnectionConfig
from nsqgw.connection import Connection, connect
from nsqgw.errors import (
    BadBody,
    ConfigError,
    ConnectionFailed,
    FrameTooBig,
    NotNSQ,
    NSQError,
    ProtocolError,
    Unauthorized,
)
from nsqgw.protocol.compression import Deflate, Snappy

PATIENT = ConnectionConfig(connect_timeout=10)
IMPATIENT = ConnectionConfig(connect_timeout=0.2)


def features(**changes: Any) -> bytes:
    return response(json.dumps(FEATURES | changes).encode())


async def refusal(fake: ScriptedNsqd, config: ConnectionConfig = PATIENT) -> NSQError:
    """The error that connecting ends with."""
    with pytest.raises(NSQError) as caught:
        await connect(fake.address, config)
    await (await fake.session()).end()
    return caught.value


async def test_c_cli_01_identify_comes_first_and_nothing_follows_unasked(fake: ScriptedNsqd) -> None:
    fake.answers["IDENTIFY"] = None
    connecting = asyncio.ensure_future(connect(fake.address, PATIENT))
    session = await fake.session()
    await session.received("IDENTIFY")
    assert session.magic == b"  V2"
    session.send(features(auth_required=False))
    connection = await connecting
    assert session.commands == ["IDENTIFY"]
    assert json.loads(session.bodies[0])["feature_negotiation"] is True
    connection.close()


async def test_c_cli_02_ok_is_no_negotiation(fake: ScriptedNsqd) -> None:
    fake.answers["IDENTIFY"] = OK
    connection = await connect(fake.address, ConnectionConfig(snappy=True))
    assert connection.features.max_rdy_count == 2500
    assert not connection.features.snappy
    connection.close()


LAYERS: list[tuple[str, Callable[[], Any]]] = [("deflate", Deflate), ("snappy", Snappy)]


@pytest.mark.parametrize(("name", "layer"), LAYERS)
@pytest.mark.parametrize("pause", [False, True], ids=["same-read", "next-read"])
async def test_compression_begins_right_behind_the_answer(
    name: str, layer: Callable[[], Any], pause: bool
) -> None:
    async with ScriptedNsqd() as fake:
        codec = layer()

        def answer(session: Session, line: str) -> bytes:
            head, rest = features(**{name: True}), codec.compress(OK)
            session.layer = None
            if pause:
                asyncio.get_running_loop().call_later(0.05, session.send_raw, rest)
                return head
            return head + rest

        fake.answers["IDENTIFY"] = answer
        fake._make_layer = lambda: codec
        connection = await connect(fake.address, ConnectionConfig(**{name: True}))
        running = asyncio.ensure_future(connection.run())
        await connection.request(b"PUB t\n\x00\x00\x00\x01x")
        session = await fake.session()
        assert session.commands == ["IDENTIFY", "PUB t"]
        connection.close()
        with pytest.raises(NSQError):
            await running


@pytest.mark.parametrize("asked", ["snappy", "deflate"])
async def test_c_cli_05_what_was_not_granted_is_done_without(fake: ScriptedNsqd, asked: str) -> None:
    connection = await connect(fake.address, ConnectionConfig(**{asked: True}))
    running = asyncio.ensure_future(connection.run())
    await connection.request(b"PUB t\n\x00\x00\x00\x01x")
    assert (await fake.session()).commands == ["IDENTIFY", "PUB t"]
    connection.close()
    with pytest.raises(NSQError):
        await running


async def test_c_cli_06_a_missing_secret_is_named_before_sub(fake: ScriptedNsqd) -> None:
    fake.features["auth_required"] = True
    caught = await refusal(fake)
    assert isinstance(caught, ConfigError)
    assert "auth_secret" in str(caught)
    assert fake.sessions[0].commands == ["IDENTIFY"]


@pytest.mark.parametrize("secret", ["tësla", "tësla".encode()])
async def test_the_secret_is_sent_as_bytes(fake: ScriptedNsqd, secret: str | bytes) -> None:
    fake.features["auth_required"] = True
    connection = await connect(fake.address, ConnectionConfig(auth_secret=secret))
    session = await fake.session()
    assert session.commands == ["IDENTIFY", "AUTH"]
    assert session.bodies[1] == "tësla".encode()
    connection.close()


async def test_a_refused_secret(fake: ScriptedNsqd) -> None:
    fake.features["auth_required"] = True
    fake.answers["AUTH"] = error("E_UNAUTHORIZED AUTH no authorizations found")
    caught = await refusal(fake, ConnectionConfig(auth_secret="x"))
    assert isinstance(caught, Unauthorized)
    assert str(caught) == f"{fake.address}: E_UNAUTHORIZED AUTH no authorizations found"


async def test_heartbeats_do_not_disturb_the_handshake(fake: ScriptedNsqd) -> None:
    """Also in one read with the answer, as when an auth server was slow."""
    fake.answers["IDENTIFY"] = HEARTBEAT + HEARTBEAT + features(auth_required=True)
    fake.answers["AUTH"] = HEARTBEAT + response(b"{}") + HEARTBEAT
    connection = await connect(fake.address, ConnectionConfig(auth_secret="x", connect_timeout=1.0))
    running = asyncio.ensure_future(connection.run())
    session = await fake.session()
    await session.received("NOP")
    connection.close()
    with pytest.raises(NSQError):
        await running


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (error("E_BAD_BODY IDENTIFY heartbeat interval (1) is invalid"), BadBody, "heartbeat interval"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", NotNSQ, "HTTP port"),
        (b"\x7f\xff\xff\xff\x00\x00\x00\x02", FrameTooBig, "2147483647 bytes"),
        (b"\x00\x00\x00\x06\x00\x00\x00\x09OK", ProtocolError, "frame type 9"),
        (b"\xff" * 50, ProtocolError, "no nsqd"),
        (response(b"{nonsense"), ProtocolError, "no JSON"),
        (response(b'{"max_rdy_count":0}'), ProtocolError, "max_rdy_count = 0"),
        (message(1), ProtocolError, "before the subscription"),
        (features(deflate=True) + OK, ProtocolError, "corrupt deflate"),
        (features(snappy=True) + OK, ProtocolError, "snappy"),
        (features(deflate=True) + Deflate().compress(response(b"NO")), ProtocolError, "b'NO' in place of OK"),
        (features(deflate=True) + Deflate().compress(bytes(50 << 20)), ProtocolError, "handshake"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_no_handshake_is_refused_with_the_reason(
    fake: ScriptedNsqd, answer: bytes, kind: type[NSQError], words: str
) -> None:
    fake.answers["IDENTIFY"] = answer
    caught = await refusal(fake)
    assert isinstance(caught, kind)
    assert str(caught).startswith(f"{fake.address}: ")
    assert words in str(caught)


async def test_a_silent_server_is_given_up(fake: ScriptedNsqd) -> None:
    fake.answers["IDENTIFY"] = None
    caught = await refusal(fake, IMPATIENT)
    assert isinstance(caught, ConnectionFailed)
    assert fake.address in str(caught)
    assert "no answer to IDENTIFY within 0.2 s" in str(caught)


async def test_a_server_that_hangs_up(fake: ScriptedNsqd) -> None:
    fake.answers["IDENTIFY"] = lambda session, line: session.drop()
    caught = await refusal(fake)
    assert isinstance(caught, ConnectionFailed)
    assert f"{fake.address}: closed the connection during the handshake" in str(caught)


async def test_cancelling_closes_the_socket(fake: ScriptedNsqd) -> None:
    fake.answers["IDENTIFY"] = None
    connecting = asyncio.ensure_future(connect(fake.address, PATIENT))
    session = await fake.session()
    await session.received("IDENTIFY")
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await session.end()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:1",  # nothing listens there; one found free would name the test anew in each process
        "a..b:4150",
        "a" * 64 + ".example:4150",
        "nobody.invalid:4150",
        "/nonexistent/nsqd.sock",
        "/tmp/" + "x" * 200,
    ],
    ids=lambda address: address[:20],
)
async def test_addresses_that_lead_nowhere(address: str) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        await connect(address, ConnectionConfig(connect_timeout=3.0))
    assert address in str(caught.value)


async def test_a_host_that_takes_no_connection() -> None:
    """A listener whose backlog is full lets the connection hang."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = "{}:{}".format(*listener.getsockname())
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        try:
            with pytest.raises(ConnectionFailed, match=r"no connection within 0\.2 s"):
                await connect(address, IMPATIENT)
        finally:
            for filler in fillers:
                filler.close()


# -- after the handshake


async def established(fake: ScriptedNsqd, **config: Any) -> tuple[Connection, Session, asyncio.Future[None]]:
    connection = await connect(fake.address, ConnectionConfig(**config))
    return connection, await fake.session(), asyncio.ensure_future(connection.run())


async def test_c_cli_04_silence_closes(fake: ScriptedNsqd) -> None:
    _, session, running = await established(fake, heartbeat_interval=1)
    with pytest.raises(NSQError, match=r"silent for 2 s, two heartbeats"):
        await running
    await session.end()


async def test_an_unanswered_command_closes(fake: ScriptedNsqd) -> None:
    fake.answers["PUB"] = None
    connection, session, running = await established(fake, reply_timeout=0.1)
    asked = connection.request(b"PUB t\n\x00\x00\x00\x01x")
    with pytest.raises(NSQError, match="did not answer a command within"):
        await running
    assert isinstance(asked.exception(), NSQError)
    await session.end()


async def test_heartbeats_are_answered_once_each(fake: ScriptedNsqd) -> None:
    connection, session, running = await established(fake)
    session.send(HEARTBEAT * 5)
    await session.received("NOP", 5)
    session.send(HEARTBEAT)
    await session.received("NOP", 6)
    connection.close()
    with pytest.raises(NSQError):
        await running
    assert session.lines("NOP") == ["NOP"] * 6


async def test_commands_of_one_turn_leave_in_order_in_one_write(fake: ScriptedNsqd) -> None:
    connection, session, running = await established(fake)
    writes: list[bytes] = []
    write = connection._wire.write
    connection._wire.write = lambda data: writes.append(data) or write(data)  # type: ignore[method-assign]
    for number in range(100):
        connection.send(b"RDY %d\n" % number)
    await session.received("RDY", 100)
    assert session.lines("RDY") == [f"RDY {number}" for number in range(100)]
    assert len(writes) == 1
    connection.close()
    with pytest.raises(NSQError):
        await running


async def test_hanging_up_after_nsqd_did_is_no_error(fake: ScriptedNsqd) -> None:
    connection, session, running = await established(fake)
    connection.send(b"NOP\n")
    await session.received("NOP")
    session.drop()
    with pytest.raises(NSQError):
        await running
    await connection.hang_up()
    assert connection.closed


async def test_requests_on_a_closed_connection_fail_and_nothing_is_kept(fake: ScriptedNsqd) -> None:
    connection, _, running = await established(fake)
    connection.close()
    with pytest.raises(NSQError):
        await running
    with pytest.raises(NSQError, match="connection closed"):
        await connection.request(b"PUB t\n")
    assert connection.unanswered_commands == 0


async def test_the_end_is_told_with_its_cause(fake: ScriptedNsqd) -> None:
    connection, session, running = await established(fake)
    asked = connection.request(b"PUB t\n\x00\x00\x00\x01x")
    fake.answers["PUB"] = None
    session.send(b"\x7f\xff\xff\xff\x00\x00\x00\x02")
    with pytest.raises(FrameTooBig):
        await running
    await eventually_async(asked.done)
    assert isinstance(asked.exception(), NSQError)
