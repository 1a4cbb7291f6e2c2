"""The HTTP front with raw bytes: split anywhere, malformed, oversize, slow, too many."""

from __future__ import annotations

import contextlib
import json

import pytest

from gateways.push.limits import Limits
from harness.polling import eventually_async

GET = b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = b"Host: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
STREAM = b"GET /stream/events HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n"
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def error_of(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["error"])


async def test_a_page_is_served_and_the_connection_closed(serve, dial) -> None:
    peer = await dial(await serve())
    peer.send(GET % b"/")
    answer = await peer.read_all()
    assert status_of(answer) == 200
    assert answer.endswith(b"\r\n\r\n<!doctype html>")


async def test_head_has_no_body_and_other_methods_are_refused(serve, dial) -> None:
    served = await serve()
    peer = await dial(served)
    peer.send(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert (await peer.read_all()).endswith(b"\r\n\r\n")
    peer = await dial(served)
    peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
    answer = await peer.read_all()
    assert status_of(answer) == 405
    assert b"Allow: GET, HEAD" in answer


async def test_topics_are_listed(serve, dial) -> None:
    peer = await dial(await serve())
    peer.send(GET % b"/topics")
    assert (await peer.read_all()).endswith(b'{"topics": ["events", "other"]}\n')


async def test_the_status_tells_which_topics_have_nsqd(serve, dial) -> None:
    peer = await dial(await serve())
    peer.send(GET % b"/status")
    assert (await peer.read_all()).endswith(b'{"connected": {"events": true}}\n')


@pytest.mark.parametrize(
    ("path", "text"),
    [(b"/nowhere", "there is no /nowhere"), (b"/stream/nope", "topic 'nope' is not streamed here")],
)
async def test_what_is_not_there_is_404_as_json(serve, dial, path: bytes, text: str) -> None:
    peer = await dial(await serve())
    peer.send(GET % path)
    answer = await peer.read_all()
    assert (status_of(answer), error_of(answer)) == (404, text)


async def test_a_stream_asked_for_in_no_known_way_is_406(serve, dial) -> None:
    peer = await dial(await serve())
    peer.send(GET % b"/stream/events")
    answer = await peer.read_all()
    assert status_of(answer) == 406
    assert "text/event-stream" in error_of(answer)


async def test_a_handshake_split_at_every_byte(serve, dial) -> None:
    served = await serve()
    for split in range(1, len(STREAM), 7):
        peer = await dial(served)
        peer.send(STREAM[:split])
        await peer.writer.drain()
        await eventually_async(lambda: any(vars_of(c) for c in served.context.connections))
        peer.send(STREAM[split:])
        answer = await peer.read_until(b"\r\n\r\n")
        assert status_of(answer) == 101
        assert ACCEPT in answer
        served.publish(b"hello")
        assert await peer.read_exactly(7) == b"\x81\x05hello"
        await peer.close()
        await eventually_async(lambda: served.hub.subscribers("events") == 0)


def vars_of(connection: object) -> bytearray | None:
    """What has arrived of a head so far."""
    return getattr(connection, "_head", None)


async def test_frames_sent_along_with_the_handshake_are_read(serve, dial) -> None:
    served = await serve()
    peer = await dial(served)
    peer.send(STREAM + b"\x89\x81\x00\x00\x00\x00!")  # a masked ping of one byte
    assert status_of(await peer.read_until(b"\r\n\r\n")) == 101
    assert await peer.read_exactly(3) == b"\x8a\x01!"


async def test_an_oversize_head_is_refused_while_it_is_still_being_sent(serve, dial) -> None:
    served = await serve(Limits(max_head_bytes=1000))
    peer = await dial(served)
    peer.send(b"GET / HTTP/1.1\r\nHost: test\r\nX: " + b"a" * 100_000)
    answer = await peer.read_all()
    assert (status_of(answer), error_of(answer)) == (431, "the head is larger than 1000 bytes")
    peer = await dial(served)
    peer.send(b"GET / HTTP/1.1\r\nHost: test\r\nX: " + b"a" * 1000 + b"\r\n\r\n")
    assert status_of(await peer.read_all()) == 431


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x00\x00\r\n\r\n", b"  V2\r\n\r\n", b"GET /\r\n\r\n"])
async def test_what_is_no_http_is_refused(serve, dial, junk: bytes) -> None:
    peer = await dial(await serve())
    peer.send(junk)
    assert status_of(await peer.read_all()) == 400


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (UPGRADE.replace(b"13", b"8") + KEY, 400),
        (UPGRADE, 400),
        (UPGRADE + b"Sec-WebSocket-Key: c2hvcnQ=\r\n", 400),
        (UPGRADE.replace(b"Connection: Upgrade", b"Connection: close") + KEY, 426),
        (UPGRADE + KEY + b"Origin: http://evil.example\r\n", 403),
    ],
)
async def test_a_bad_upgrade_is_refused_before_it_happens(serve, dial, head: bytes, status: int) -> None:
    served = await serve()
    peer = await dial(served)
    peer.send(b"GET /stream/events HTTP/1.1\r\n" + head + b"\r\n")
    answer = await peer.read_all()
    assert status_of(answer) == status
    assert error_of(answer)
    assert served.hub.subscribers("events") == 0
    assert served.context.refused[status] == 1


async def test_origins_same_host_and_allowed(serve, dial) -> None:
    served = await serve(allow_origins=("https://shop.example",))
    for origin in (b"http://test", b"https://test", b"https://shop.example"):
        peer = await dial(served)
        peer.send(STREAM[:-2] + b"Origin: " + origin + b"\r\n\r\n")
        assert status_of(await peer.read_until(b"\r\n\r\n")) == 101


@pytest.mark.parametrize("path", [b"/", b"/topics", b"/nowhere", b"/stream/events"])
async def test_a_page_whose_name_was_rebound_to_us_gets_nothing(serve, dial, path: bytes) -> None:
    served = await serve()
    here = b"evil.example:8080"
    for head in (UPGRADE.replace(b"test", here) + KEY, b"Host: %s\r\nAccept: text/event-stream\r\n" % here):
        peer = await dial(served)
        peer.send(b"GET %s HTTP/1.1\r\n%sOrigin: http://%s\r\n\r\n" % (path, head, here))
        answer = await peer.read_all()
        assert status_of(answer) == 421
        assert (
            error_of(answer)
            == "host 'evil.example:8080' is none of this server's names; --allow-host adds one"
        )
    assert served.hub.subscribers("events") == 0
    assert served.context.refused[421] == 2


async def test_a_slow_handshake_times_out_and_a_silent_connection_is_dropped(serve, dial) -> None:
    served = await serve(Limits(look_interval=0.04, handshake_timeout=0.1))
    slow, silent = await dial(served), await dial(served)
    slow.send(b"GET / HTTP/1.1\r\nHost: te")
    answer = await slow.read_all()
    assert (status_of(answer), error_of(answer)) == (408, "the request took too long")
    with contextlib.suppress(ConnectionError):
        assert await silent.read_all() == b""
    await slow.close()
    await eventually_async(lambda: len(served.context.connections) == 0)


async def test_a_client_that_never_leaves_after_its_answer_is_dropped(serve, dial) -> None:
    served = await serve(Limits(look_interval=0.04, close_timeout=0.1))
    peer = await dial(served)
    peer.send(GET % b"/")
    await peer.read_all()
    await eventually_async(lambda: len(served.context.connections) == 0)


async def test_over_the_bound_of_connections_clients_are_told_to_wait(serve, dial) -> None:
    served = await serve(Limits(max_connections=2))
    kept = [await dial(served) for _ in range(2)]
    await eventually_async(lambda: len(served.context.connections) == 2)
    extra = await dial(served)
    extra.send(GET % b"/")
    answer = await extra.read_all()
    assert status_of(answer) == 503
    assert b"Retry-After: 5" in answer
    await kept[0].close()
    await extra.close()
    await eventually_async(lambda: len(served.context.connections) == 1)
    again = await dial(served)
    again.send(GET % b"/")
    assert status_of(await again.read_all()) == 200


async def test_listening_twice_on_a_port_says_so(serve) -> None:
    from gateways.push.front import Front
    from nsqgw.errors import ListenFailed

    served = await serve()
    with pytest.raises(ListenFailed, match=f"cannot listen on {served.host}"):
        await Front(served.context, lambda request: None).start(served.host)
