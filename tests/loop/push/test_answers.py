"""Streams and polls over plain HTTP, with the resume rules of the others."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateways.push.limits import Limits
from harness.polling import eventually_async


def request(accept: str, query: str = "") -> bytes:
    return f"GET /stream/events{query} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\n\r\n".encode()


LINES, POLL = "application/x-ndjson", "application/json"


async def polled(served, dial, query: str = "") -> dict:
    peer = await dial(served)
    peer.send(request(POLL, query))
    head, _, body = (await peer.read_all()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Cache-Control: no-store" in head
    return json.loads(body)


async def test_lines_one_a_message_and_a_sign_of_life(serve, dial) -> None:
    served = await serve(Limits(look_interval=0.04, heartbeat_interval=0.1))
    served.publish(b"one", b"two\nlines", b"\xff")
    peer = await dial(served)
    peer.send(request(LINES, "?since=oldest"))
    assert b"Content-Type: application/x-ndjson\r\n" in await peer.read_until(b"\r\n\r\n")
    told = [json.loads(await peer.read_until(b"\n")) for _ in range(3)]
    assert [message["data"] for message in told] == ["one", "two\nlines", "/w=="]
    assert [message.get("base64") for message in told] == [None, None, True]
    assert await peer.read_until(b"\n") == b"\n"
    back = await dial(served)
    back.send(request(LINES, f"?since={told[1]['position']}"))
    await back.read_until(b"\r\n\r\n")
    assert json.loads(await back.read_until(b"\n")) == told[2]


async def test_lines_tell_of_a_gap(serve, dial) -> None:
    served = await serve()
    peer = await dial(served)
    peer.send(request(LINES, "?since=elsewhere-1"))
    await peer.read_until(b"\r\n\r\n")
    assert json.loads(await peer.read_until(b"\n")) == {"gap": True, "lost": None}


async def test_polls_miss_nothing_between_them(serve, dial) -> None:
    served = await serve()
    first = asyncio.create_task(polled(served, dial))
    await eventually_async(lambda: served.hub.subscribers("events") == 1)
    served.publish(b"one", b"\xff")
    answer = await first
    assert [message["data"] for message in answer["messages"]] == ["one", "/w=="]
    assert answer["position"] == answer["messages"][-1]["position"]
    served.publish(b"two")
    served.publish(b"three")
    answer = await polled(served, dial, f"?since={answer['position']}")
    assert [message["data"] for message in answer["messages"]] == ["two", "three"]
    assert not answer["gap"]
    assert served.hub.subscribers("events") == 0
    assert served.context.closed == {"poll answered": 2}


async def test_a_poll_without_news_is_answered_with_its_position(serve, dial) -> None:
    served = await serve(Limits(look_interval=0.04, poll_timeout=0.1))
    served.publish(b"one")
    position = served.hub.missed("events", None).position
    assert await polled(served, dial, f"?since={position}") == {
        "position": position,
        "gap": False,
        "messages": [],
    }


async def test_a_poll_from_elsewhere_is_told_of_the_gap_at_once(serve, dial) -> None:
    served = await serve()
    answer = await polled(served, dial, "?since=elsewhere-1")
    assert answer["gap"]
    assert answer["position"] == served.hub.missed("events", None).position


async def test_at_the_end_a_poll_is_answered(serve, dial) -> None:
    served = await serve()
    waiting = asyncio.create_task(polled(served, dial))
    await eventually_async(lambda: served.hub.subscribers("events") == 1)
    await served.front.close()
    assert (await waiting)["messages"] == []


@pytest.mark.parametrize("query", ["?" + "&".join(f"a={number}" for number in range(40))])
async def test_a_query_of_endless_arguments_is_refused(serve, dial, query: str) -> None:
    served = await serve()
    peer = await dial(served)
    peer.send(request(POLL, query))
    assert (await peer.read_all()).startswith(b"HTTP/1.1 400 ")
