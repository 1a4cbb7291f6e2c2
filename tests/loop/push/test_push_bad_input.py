"""Bad input, a row for each kind: a typed end or error, nothing grows, and nobody else notices.

Each row has a connection of its own. Before and after it a witness is given its messages, and afterwards the
gateway holds what it held before.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateways.push.access.gate import Gate
from gateways.push.access.keys import TokenKey
from gateways.push.access.signed_url import SignedUrls
from gateways.push.access.tokens import TokenRules, TokenVerifier
from gateways.push.limits import Limits
from gateways.push.presence import Presence
from gateways.push.session import Session
from harness.polling import eventually_async
from harness.push_client import PushClient
from harness.tokens import SECRET, token
from harness.websocket_frames import BINARY, CONT, PING, TEXT, deflated, frame

LIMITS = Limits(look_interval=0.04, handshake_timeout=0.6, close_timeout=0.3, max_client_bytes=150_000)
UPGRADE_TO_CONNECT = (
    b"GET /connect HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: nsqgw.v1.json\r\n\r\n"
)
SILENT = int(os.environ.get("SILENT_CONNECTIONS", "200"))


@asynccontextmanager
async def unnoticed(serve, limits: Limits = LIMITS) -> AsyncIterator:
    """A gateway with a witness; at the end it holds what it held, and the witness was given everything."""
    verifier = TokenVerifier(lambda: (TokenKey("HS256", SECRET),), TokenRules(), wall=time.time)
    gate = Gate(
        verifier=verifier, signatures=[SignedUrls((b"a secret of urls, long enough",))], first_command=0.3
    )
    served = await serve(limits, gate=gate, presence=Presence(["other"]))
    witness = await opened(served)
    await witness.ask("subscribe", channel="events")

    async def see(body: bytes) -> None:
        served.publish(body)
        assert (await witness.next())["data"] == body.decode()

    await see(b"before")
    context, channels = served.context, len(served.hub.channels)
    yield served
    await see(b"after")
    await eventually_async(lambda: len(context.connections) == 1, what="connections are left")
    assert (len(context.errands), gate.arrivals.sizes, len(served.hub.channels)) == (0, (0, 0, 0), channels)
    assert (served.hub.subscribers("events"), served.hub.subscribers("other")) == (1, 0)
    assert verifier.remembered <= 2
    (session,) = context.connections
    assert session.waiting_bytes == 0
    await witness.websocket.close()


def good(**claims) -> str:
    return token(now=time.time(), **claims)


async def opened(served, *channels: str) -> PushClient:
    """A client with a token."""
    shown = good(channels=channels or ["events"])
    return await PushClient.open(served.host, subprotocols=(f"nsqgw.token.{shown}",))


def unsigned(**claims) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, {"exp": time.time() + 60, "channels": ["*"], **claims})
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
        + "."
    )


def get(path: str, *headers: str, host: str = "Host: localhost") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", *([host] if host else []), *headers, "", ""]).encode()


def with_token(path: str, text: Callable[[], str] | str) -> Callable[[], bytes]:
    """A request that shows a token, made when it is sent."""
    return lambda: get(
        path, "Accept: application/json", f"Authorization: Bearer {text if isinstance(text, str) else text()}"
    )


STREAM = "/stream/events"

REQUESTS: dict[str, tuple[bytes | Callable[[], bytes], int]] = {
    "a head larger than 16 KiB": (get("/", "X: " + "x" * 17_000), 431),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n", 400),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a header without a name": (get("/", ": x"), 400),
    "a folded header": (get("/", "X: a\r\n b"), 400),
    "a NUL in a header": (get("/", "X: \0"), 400),
    "a body": (get("/", "Transfer-Encoding: chunked"), 501),
    "half a head, and silence": (b"GET / HTTP/1.1\r\nHost: loc", 408),
    "no Host": (get("/topics", host=""), 400),
    "Host twice": (get("/topics", "Host: evil.example"), 400),
    "a foreign Host": (get("/topics", host="Host: evil.example"), 421),
    "a Host with a user": (get("/topics", host="Host: localhost@evil.example"), 421),
    "a Host that begins like ours": (get("/topics", host="Host: localhost.evil.example"), 421),
    "an empty Host": (get("/topics", host="Host: "), 421),
    "a foreign Origin": (get(STREAM, "Origin: https://evil.example"), 403),
    "Origin null": (get(STREAM, "Origin: null"), 403),
    "Origin twice": (get(STREAM, "Origin: http://localhost", "Origin: http://evil.example"), 400),
    "an Origin that begins like ours": (get(STREAM, "Origin: http://localhost.evil.example"), 403),
    "an Origin of another scheme": (get(STREAM, "Origin: ftp://localhost"), 403),
    "an Origin of another port": (get(STREAM, "Origin: http://localhost:81"), 403),
    "an Origin with a path": (get(STREAM, "Origin: http://localhost/x"), 403),
    "an Origin with a user": (get(STREAM, "Origin: http://localhost@evil.example"), 403),
    "a page of another site without Origin": (get(STREAM, "Sec-Fetch-Site: cross-site"), 403),
    "no token": (get(STREAM, "Accept: text/event-stream"), 401),
    "an expired token": (with_token(STREAM, token(now=0.0)), 401),
    "a token for later": (with_token(STREAM, lambda: good(nbf=time.time() + 100)), 401),
    "a forged token": (with_token(STREAM, lambda: good(key=b"x" * 32)), 401),
    "a token with alg none": (with_token(STREAM, unsigned), 401),
    "a token for another channel": (with_token(STREAM, lambda: good(channels=["other"])), 403),
    "a token without the right": (with_token(STREAM, lambda: good(rights=["publish"])), 403),
    "a token of 9 KiB": (with_token(STREAM, "x" * 9216), 401),
    "a token in the query": (lambda: get(f"{STREAM}?token={good()}"), 401),
    "a forged signature": (get(f"{STREAM}?exp=9999999999&sig=x"), 403),
    "a signature without an end": (get(f"{STREAM}?sig=x"), 403),
    "an unknown channel": (with_token("/stream/nobody", lambda: good(channels=["*"])), 404),
    "a channel with dots": (with_token("/stream/../../etc/passwd", lambda: good(channels=["*"])), 404),
    "too many arguments": (lambda: get(f"{STREAM}?" + "a=1&" * 40, f"Authorization: Bearer {good()}"), 400),
    "a filter that is none": (with_token(f"{STREAM}?filter=5", good), 400),
}


@pytest.mark.parametrize("kind", REQUESTS)
async def test_requests(serve, dial, kind: str) -> None:
    sent, status = REQUESTS[kind]
    async with unnoticed(serve) as served:
        peer = await dial(served)
        peer.send(sent if isinstance(sent, bytes) else sent())
        answer = await peer.read_all()
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
        assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"error"}
        await peer.close()


def upgrade(*headers: str) -> bytes:
    return get(
        "/connect",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: nsqgw.v1.json, nsqgw.token.{good(channels=['*'])}",
        *headers,
    )


def commands(count: int, **command) -> bytes:
    return b"".join(frame(TEXT, json.dumps({"id": 1, **command}).encode()) for _ in range(count))


BOMB = deflated(b'{"id": 1, "op": "ping", "x": "' + b" " * 30_000_000 + b'"}')

FRAMES: dict[str, tuple[bytes, int]] = {
    "a frame of more than 64 KiB": (frame(TEXT, b"x" * 65_537), 1009),
    "a frame said to have 2^62 bytes": (b"\x81\xff" + (2**62).to_bytes(8, "big") + b"mask", 1009),
    "a message of more than 64 KiB in pieces": (
        frame(TEXT, b"x" * 40_000, fin=False) + frame(CONT, b"x" * 40_000, fin=False),
        1009,
    ),
    "endless fragments": (frame(TEXT, b"", fin=False) + frame(CONT, b"x", fin=False) * 300, 1008),
    "endless empty fragments": (frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) * 300, 1008),
    "a new message within another": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002),
    "a piece of nothing": (frame(CONT, b"x"), 1002),
    "text that is not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "text that is not UTF-8, in pieces": (frame(TEXT, b"\xe2\x82", fin=False) + frame(CONT, b"x"), 1007),
    "half a character": (frame(TEXT, b"\xe2\x82"), 1007),
    "a frame without a mask": (frame(TEXT, b"{}", masked=False), 1002),
    "an unknown opcode": (frame(3, b""), 1002),
    "a reserved bit": (frame(TEXT, b"{}", rsv=2), 1002),
    "compression nobody agreed to": (frame(TEXT, deflated(b"{}"), rsv=4), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a ping in pieces": (frame(PING, b"", fin=False), 1002),
    "a flood of pings": (frame(PING) * 300, 1008),
    "a flood of bytes": (frame(TEXT, b'{"id": 1, "op": "ping", "x": "' + b"x" * 60_000 + b'"}') * 40, 1008),
    "no JSON": (frame(TEXT, b"{"), 4501),
    "JSON too deep": (frame(TEXT, b"[" * 60_000), 4501),
    "a number of 60,000 digits": (frame(TEXT, b'{"id": ' + b"9" * 60_000 + b', "op": "ping"}'), 4501),
    "an id that is none": (frame(TEXT, b'{"id": true, "op": "ping"}'), 4501),
    "no op": (frame(TEXT, b'{"id": 1}'), 4501),
    "binary in JSON": (frame(BINARY, b"\x80"), 4501),
    "errors in a row": (commands(60, op="subscribe", channel="nobody"), 4509),
    "a forged token": (commands(1, op="auth", token="forged"), 4500),
    "a token with alg none": (commands(1, op="auth", token=unsigned()), 4500),
}


async def close_code(peer) -> int:
    """Of the close frame that ends what the gateway sends."""
    data = await peer.read_all()
    while data:
        opcode, size = data[0] & 15, data[1]
        start = 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        if opcode == 8:
            return int.from_bytes(data[start : start + 2], "big")
        data = data[start + size :]
    raise AssertionError("there is no close frame")


@pytest.mark.parametrize("kind", FRAMES)
async def test_frames(serve, dial, kind: str) -> None:
    sent, code = FRAMES[kind]
    async with unnoticed(serve) as served:
        peer = await dial(served)
        peer.send(upgrade())
        assert b"101" in await peer.read_until(b"\r\n\r\n")
        peer.send(sent)
        assert await close_code(peer) == code
        await peer.close()


async def test_a_compression_bomb(serve, dial) -> None:
    assert len(BOMB) < 65_536
    async with unnoticed(serve) as served:
        peer = await dial(served)
        peer.send(upgrade("Sec-WebSocket-Extensions: permessage-deflate"))
        assert b"permessage-deflate" in await peer.read_until(b"\r\n\r\n")
        peer.send(frame(TEXT, BOMB, rsv=4))
        assert await close_code(peer) == 1009
        await peer.close()


@dataclass(frozen=True)
class Wrong:
    """A command, and the code of the error it is answered with."""

    code: int
    op: str
    arguments: dict


COMMANDS = {
    "an unknown channel": Wrong(102, "subscribe", {"channel": "nobody"}),
    "a channel the token does not name": Wrong(103, "subscribe", {"channel": "events"}),
    "a pattern wider than the token": Wrong(103, "subscribe", {"channel": "*"}),
    "publishing without the right": Wrong(103, "publish", {"channel": "other", "data": "x"}),
    "presence without the right": Wrong(103, "presence", {"channel": "other"}),
    "watching without the right": Wrong(103, "subscribe", {"channel": "other", "presence": True}),
    "a name of 300 characters": Wrong(107, "subscribe", {"channel": "o" * 300}),
    "a channel that is no text": Wrong(107, "subscribe", {"channel": ["other"]}),
    "a position that is no text": Wrong(107, "subscribe", {"channel": "other", "since": 5}),
    "a filter that is none": Wrong(107, "subscribe", {"channel": "other", "filter": 5}),
    "a token that is no text": Wrong(107, "auth", {"token": 5}),
    "an expired token": Wrong(109, "auth", {"token": token(now=0.0)}),
    "an unknown op": Wrong(107, "drop table", {}),
    "what was never followed": Wrong(108, "unsubscribe", {"channel": "other"}),
}


@pytest.mark.parametrize("kind", COMMANDS)
async def test_commands(serve, kind: str) -> None:
    wrong = COMMANDS[kind]
    async with unnoticed(serve) as served:
        client = await opened(served, "other", "nobody", "oooo*")
        assert await client.refused(wrong.op, **wrong.arguments) == wrong.code
        assert (await client.ask("ping"))["ok"] == "ping"
        await client.websocket.close()


@pytest.mark.parametrize(
    "since", ["", "x", "-1", "9" * 5000, "é", "\0", "5f0c1e2d3a4b-99999999999999999999", "a-b-c-d-e-f"]
)
async def test_forged_positions(serve, since: str) -> None:
    """They are answered with a gap, or refused; never with another channel's messages."""
    async with unnoticed(serve) as served:
        client = await opened(served, "other")
        answer = await client.ask("subscribe", channel="other", since=since)
        assert answer.get("recovered") is False or answer["error"]["code"] == 107
        if "recovered" in answer:
            assert await client.next() == {"push": "gap", "channel": "other", "lost": None}
        assert (await client.ask("ping"))["ok"] == "ping"
        await client.websocket.close()


async def test_subscribing_over_and_over(serve) -> None:
    async with unnoticed(serve, Limits(look_interval=60.0, max_subscribes=3, close_timeout=0.3)) as served:
        client = await opened(served, "other")
        for _ in range(3):
            await client.ask("subscribe", channel="other")
            await client.ask("unsubscribe", channel="other")
        assert await client.refused("subscribe", channel="other") == 111
        await client.websocket.close()


async def test_connections_that_say_nothing(serve) -> None:
    """200 of them here, 10,000 by `make soak`."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < SILENT + 500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(SILENT + 500, most), most))
    limits = Limits(
        look_interval=0.04, handshake_timeout=1.0, close_timeout=0.3, max_connections=SILENT + 100
    )
    async with unnoticed(serve, limits) as served:
        program = Path(__file__).parents[2] / "harness" / "silent_connections.py"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            served.host,
            str(SILENT),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"open\n"
        await eventually_async(lambda: served.context.accepted == SILENT + 1, 60)
        await eventually_async(lambda: len(served.context.connections) == 1, 60)
        await asyncio.wait_for(process.communicate(b"\n"), 30)


async def test_upgraded_connections_that_say_nothing(serve, dial) -> None:
    async with unnoticed(serve) as served:
        peers = [await dial(served) for _ in range(50)]
        for peer in peers:
            peer.send(upgrade().replace(b"nsqgw.token.", b"x"))
        for peer in peers:
            assert b"101" in await peer.read_until(b"\r\n\r\n")
        assert {await close_code(peer) for peer in peers} == {4502}
        for peer in peers:
            await peer.close()


async def test_logs_have_no_token_and_no_payload(serve, dial, caplog) -> None:
    caplog.set_level(logging.INFO)
    shown = good(sub="ada", channels=["events", "other"])
    async with unnoticed(serve) as served:
        client = await PushClient.open(served.host, subprotocols=(f"nsqgw.token.{shown}",))
        await client.ask("auth", token=shown)
        await client.ask("subscribe", channel="other")
        served.publish(b"a payload of somebody", topic="other")
        await client.next()
        assert await client.refused("auth", token=token(now=0.0)) == 109
        await client.send("auth", token=shown[:-3])
        assert (await client.closed())[0] == 4500
        for sent in (f"/stream/events?token={shown}", f"/stream/events?exp=9&sig={shown}"):
            peer = await dial(served)
            peer.send(get(sent, f"Authorization: Bearer {shown[:-3]}", "Accept: application/json"))
            await peer.read_all()
            await peer.close()
    assert "follows" in caplog.text or "left" in caplog.text
    for secret in (shown, shown.split(".")[1], shown.split(".")[2], "a payload of somebody", SECRET.decode()):
        assert secret not in caplog.text


async def test_fragments_of_nothing_are_not_kept(serve, dial) -> None:
    served = await serve()
    peer = await dial(served)
    peer.send(UPGRADE_TO_CONNECT)
    await peer.read_until(b"\r\n\r\n")
    (session,) = served.context.connections
    peer.send(frame(TEXT, b"{", fin=False) + 100 * frame(CONT, b"", fin=False))
    await eventually_async(lambda: served.context.client_frames == 101)
    assert len(session._parts) == 1


async def test_questions_without_reading_the_answers(serve, dial) -> None:
    class Known:
        client = "0" * 16

    limits = Limits(look_interval=60.0, max_queue_bytes=100_000, max_client_frames=2000)
    served = await serve(limits, presence=Presence(["events"]))
    for _ in range(1000):
        served.context.presence.join("events", Known(), watching=False)
    peer = await dial(served)
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.writer.transport.pause_reading()
    peer.send(UPGRADE_TO_CONNECT)
    await eventually_async(lambda: any(isinstance(each, Session) for each in served.context.connections))
    (session,) = served.context.connections
    question = json.dumps({"id": 1, "op": "presence", "channel": "events"}).encode()
    peer.send(frame(TEXT, question) * 2000)
    await eventually_async(lambda: sum(served.context.closed.values()) == 1)
    assert served.context.closed["slow"] == 1, served.context.closed
    assert session.waiting_bytes < limits.max_queue_bytes + 50_000
