"""Streams with real clients: what arrives, how slow and rude ones are dealt with, and the others unharmed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateways.push.limits import Limits
from gateways.push.policy import parse_policy
from gateways.push.position import OLDEST
from harness.polling import eventually_async

UPGRADE = (
    b"GET /stream/events HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
EVENTS = b"GET /stream/events HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n"


def stream(served, **options) -> connect:
    """Without compression, so that many bytes are many on the way."""
    return connect(f"ws://{served.host}/stream/events", **{"proxy": None, "compression": None, **options})


async def ended(websocket: ClientConnection) -> tuple[int, str]:
    """Close code and reason, once the server has closed; what comes before is let go."""
    async for _ in eagerly(websocket):
        pass
    assert websocket.protocol.close_rcvd is not None
    return websocket.protocol.close_rcvd.code, websocket.protocol.close_rcvd.reason


async def eagerly(websocket: ClientConnection) -> AsyncIterator[str | bytes]:
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield await asyncio.wait_for(websocket.recv(), 10)


async def test_messages_arrive_as_text_or_binary_and_in_order(serve) -> None:
    served = await serve()
    async with stream(served) as first, stream(served) as second:
        served.publish(b"one", "zwei \u2713".encode())
        served.publish(b"\xff\x00", b"x" * 70_000)
        for websocket in (first, second):
            received = [await websocket.recv() for _ in range(4)]
            assert received == ["one", "zwei \u2713", b"\xff\x00", "x" * 70_000]
    await eventually_async(lambda: served.hub.subscribers("events") == 0)
    assert served.context.closed == {"closed by the browser": 2}


async def test_who_offers_compression_gets_the_same_compressed_bytes_as_all(serve) -> None:
    served = await serve()
    compressed = stream(served, compression="deflate")
    async with compressed as first, stream(served, compression="deflate") as second, stream(served) as plain:
        body = b"the same words again and again, " * 100
        served.publish(body, b"short", b"\xff" * 1000)
        for websocket in (first, second, plain):
            assert await websocket.recv() == body.decode()
            assert await websocket.recv() == "short"
            assert await websocket.recv() == b"\xff" * 1000
        assert "permessage-deflate" in first.response.headers["Sec-WebSocket-Extensions"]
        sessions = list(served.context.connections)
        assert len({session.encoding for session in sessions}) == 2


async def test_an_event_stream_goes_on_where_it_was_cut(serve, dial) -> None:
    served = await serve()
    served.publish(b"one", b"two", b"three")
    first = served.hub.missed("events", "oldest").frames[0]
    back = await dial(served)
    back.send(EVENTS[:-2] + b"Last-Event-ID: %s\r\n\r\n" % first.position.encode())
    missed = await back.read_until(b"data: three\n\n")
    assert b"data: one" not in missed
    assert b"event: gap" not in missed
    served.publish(b"four")
    await back.read_until(b"data: four\n\n")
    stranger = await dial(served)
    stranger.send(EVENTS[:-2] + b"Last-Event-ID: elsewhere-7\r\n\r\n")
    missed = await stranger.read_until(b"data: four\n\n")
    assert b'event: gap\ndata: {"lost": null}\n\n' in missed
    assert b"data: one\n" in missed


async def test_a_websocket_begins_with_what_it_asks_for(serve) -> None:
    served = await serve()
    served.publish(b"one", b"two")
    async with connect(f"ws://{served.host}/stream/events?since=oldest", proxy=None) as websocket:
        served.publish(b"three")
        assert [await websocket.recv() for _ in range(3)] == ["one", "two", "three"]


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-new", "conflate"])
async def test_a_lagging_browser_stays_where_messages_may_be_lost(serve, dial, policy: str) -> None:
    limits = Limits(look_interval=0.04, max_queue_bytes=500_000)
    served = await serve(limits, policies={"events": parse_policy(policy)})
    slow = await dial(served)
    slow.writer.transport.pause_reading()
    slow.send(EVENTS)
    await eventually_async(lambda: served.hub.subscribers("events") == 1)
    async with stream(served) as other:
        for number in range(300):
            served.publish(b"%d " % number + b"x" * 60_000)
            assert (await other.recv()).startswith(f"{number} ")
    (session,) = [c for c in served.context.connections if c.kind == "sse"]
    assert session.waiting_bytes <= limits.max_queue_bytes + 65_536 + 120_000
    slow.writer.transport.resume_reading()
    await slow.read_until(b"data: 0 ")
    if policy != "drop-new":
        await slow.read_until(b"data: 299 ")
    await eventually_async(lambda: session.waiting_bytes == 0)
    served.publish(b"at last")
    told = await slow.read_until(b"data: at last\n\n")
    assert served.context.closed["slow"] == 0
    if policy != "conflate":
        assert served.context.lost["events"] > 0
    if policy == "drop-new":
        assert b"event: gap\n" in told


async def test_topics_are_apart(serve) -> None:
    served = await serve()
    async with stream(served) as websocket:
        served.publish(b"not for you", topic="other")
        served.publish(b"for you")
        assert await websocket.recv() == "for you"


async def test_server_sent_events(serve, dial) -> None:
    served = await serve(Limits(look_interval=0.04, heartbeat_interval=0.1))
    peer = await dial(served)
    peer.send(EVENTS)
    head = await peer.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/event-stream\r\n" in head
    assert (await peer.read_until(b"\n\n")).startswith(b"retry: ")
    assert (
        await peer.read_until(b"\n\n") == b"id: %s\n\n" % served.hub.missed("events", None).position.encode()
    )
    served.publish(b"one\ntwo", b"\xff")
    one, two = (frame.position.encode() for frame in served.hub.missed("events", OLDEST).frames)
    await peer.read_until(b"id: %s\ndata: one\ndata: two\n\n" % one)
    await peer.read_until(b"id: %s\nevent: binary\ndata: /w==\n\n" % two)
    assert await peer.read_until(b"\n\n") == b":\n\n"
    await peer.close()
    await eventually_async(lambda: served.hub.subscribers("events") == 0)


async def test_an_event_stream_for_an_allowed_page_elsewhere_says_so(serve, dial) -> None:
    served = await serve(allow_origins=("https://shop.example",))
    peer = await dial(served)
    peer.send(EVENTS[:-2] + b"Origin: https://shop.example\r\n\r\n")
    head = await peer.read_until(b"\r\n\r\n")
    assert b"Access-Control-Allow-Origin: https://shop.example\r\nVary: Origin\r\n" in head


async def test_a_stalled_reader_is_closed_and_the_others_get_everything(serve, dial) -> None:
    limits = Limits(look_interval=0.04, max_queue_bytes=500_000, close_timeout=0.3)
    served = await serve(limits)
    stalled = await dial(served)
    stalled.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.writer.transport.pause_reading()
    stalled.send(UPGRADE)
    await eventually_async(lambda: served.hub.subscribers("events") == 1)
    body = b"x" * 60_000
    most = 0
    async with stream(served) as first, stream(served) as second:
        for number in range(400):
            served.publish(b"%d " % number + body)
            most = max(most, *(c.waiting_bytes for c in served.context.connections))
            for websocket in (first, second):
                assert (await websocket.recv()).startswith(f"{number} ")
        assert served.context.closed["slow"] == 1
        assert served.hub.subscribers("events") == 2
        await eventually_async(lambda: len(served.context.connections) == 2)
    assert most <= limits.max_queue_bytes + 65_536 + 2 * len(body)


async def test_a_reader_that_pauses_and_goes_on_gets_everything(serve) -> None:
    served = await serve(Limits(look_interval=0.04, max_queue_bytes=100_000_000))
    async with stream(served, max_queue=1) as websocket:
        await eventually_async(lambda: served.hub.subscribers("events") == 1)
        for number in range(300):
            served.publish(b"%d " % number + b"x" * 50_000)
            await asyncio.sleep(0)
        session = next(iter(served.context.connections))
        assert session.waiting_bytes > 1_000_000  # it waits here, not in the kernel
        for number in range(300):
            assert (await websocket.recv()).startswith(f"{number} ")


async def test_a_slow_reader_with_old_messages_is_told_and_closed(serve) -> None:
    served = await serve(Limits(look_interval=0.04, max_queue_bytes=100_000_000, max_queue_age=0.1))
    async with stream(served, max_queue=1) as websocket:
        await eventually_async(lambda: served.hub.subscribers("events") == 1)
        for _ in range(300):
            served.publish(b"x" * 50_000)
            await asyncio.sleep(0)
        await eventually_async(lambda: served.context.closed["slow"] == 1)
        assert await ended(websocket) == (4008, "slow")


async def test_a_slow_reader_is_told_and_closed_even_when_nothing_came_after_what_it_does_not_take(
    serve, dial
) -> None:
    served = await serve(Limits(look_interval=0.04, max_queue_age=0.1, close_timeout=0.3))
    peer = await dial(served)
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.send(UPGRADE)
    await eventually_async(lambda: served.hub.subscribers("events") == 1)
    peer.writer.transport.pause_reading()
    served.publish(b"x" * 20_000_000)  # more than the kernel takes; the backlog stays empty
    await eventually_async(lambda: served.context.closed["slow"] == 1)
    await eventually_async(lambda: len(served.context.connections) == 0)


async def test_a_silent_peer_is_pinged_and_closed(serve, dial) -> None:
    served = await serve(Limits(look_interval=0.04, ping_interval=0.1, pong_timeout=0.1, close_timeout=0.3))
    mute = await dial(served)
    mute.send(UPGRADE)
    async with stream(served, ping_interval=None) as answering:
        await mute.read_until(b"\r\n\r\n")
        assert await mute.read_exactly(2) == b"\x89\x00"
        assert (await mute.read_all()).startswith(b"\x88\x09\x0f\xacno pong")
        served.publish(b"still here")
        assert await answering.recv() == "still here"
    assert served.context.closed["no pong"] == 1


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\xc1\x80\x00\x00\x00\x00", 1002),  # reserved bit
        (b"\x80\x80\x00\x00\x00\x00", 1002),  # continues nothing
        (b"\x09\x80\x00\x00\x00\x00", 1002),  # a ping in fragments
        (b"\x82\xff\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00", 1009),  # 256 MiB announced
        (b"\x01\xfe\xff\xff\x00\x00\x00\x00" + b"a" * 65535 + b"\x80\x82\x00\x00\x00\x00aa", 1009),
    ],
)
async def test_bad_frames_end_in_a_typed_close(serve, dial, frame: bytes, code: int) -> None:
    served = await serve()
    peer = await dial(served)
    peer.send(UPGRADE)
    await peer.read_until(b"\r\n\r\n")
    peer.send(frame)
    answer = await peer.read_all()
    assert answer[0] == 0x88
    assert int.from_bytes(answer[2:4], "big") == code
    await peer.close()
    await eventually_async(lambda: len(served.context.connections) == 0)


async def test_a_chatty_browser_is_closed(serve) -> None:
    served = await serve(Limits(max_client_frames=20))
    async with stream(served) as websocket:
        for _ in range(30):
            await websocket.send("hello?")
        assert await ended(websocket) == (1008, "too many messages")


async def test_pings_without_reading_do_not_fill_memory(serve, dial) -> None:
    served = await serve(Limits(look_interval=0.04, max_client_frames=100_000_000))
    peer = await dial(served)
    peer.send(UPGRADE)
    await peer.read_until(b"\r\n\r\n")
    peer.writer.transport.pause_reading()
    pings = (b"\x89\xfd\x00\x00\x00\x00" + b"p" * 125) * 500
    session = next(iter(served.context.connections))
    for _ in range(400):
        peer.send(pings)
        await asyncio.sleep(0)
    assert session.waiting_bytes < 1_000_000
    peer.writer.transport.abort()


async def test_at_the_end_browsers_are_told_to_come_back(serve, dial) -> None:
    served = await serve()
    events = await dial(served)
    events.send(EVENTS)
    await events.read_until(b"\n\n")
    half = await dial(served)
    half.send(b"GET / HT")
    async with stream(served) as websocket:
        served.publish(b"last words")
        await served.front.close()
        assert await websocket.recv() == "last words"
        assert await ended(websocket) == (1012, "service restart")
    assert (await events.read_all()).endswith(b"\ndata: last words\n\n")
    assert await half.read_all() == b""
    assert len(served.context.connections) == 0
    assert served.context.closed == {"service restart": 2}


async def test_at_the_end_a_reader_gets_what_waits_for_it_first(serve) -> None:
    served = await serve(Limits(look_interval=0.04, max_queue_bytes=100_000_000, close_timeout=10.0))
    async with stream(served, max_queue=1) as websocket:
        await eventually_async(lambda: served.hub.subscribers("events") == 1)
        for number in range(200):
            served.publish(b"%d " % number + b"x" * 50_000)
            await asyncio.sleep(0)
        closing = asyncio.create_task(served.front.close())
        for number in range(200):
            assert (await websocket.recv()).startswith(f"{number} ")
        assert await ended(websocket) == (1012, "service restart")
        await closing
