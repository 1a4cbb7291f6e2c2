"""Encodings against their standards, and that each is made once."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

from gateways.push.entry import Entry
from gateways.push.frame import Burst, Frame, is_utf8
from gateways.push.sse import event_block
from gateways.push.wire import COMPRESSED_FROM, WINDOW_BITS, websocket_message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"hello", b"\x81\x05hello"),
        ("grüße".encode(), b"\x81\x07gr\xc3\xbc\xc3\x9fe"),
        (b"\xff\x00", b"\x82\x02\xff\x00"),
        (b"a" * 126, b"\x81\x7e\x00\x7e" + b"a" * 126),
        (b"a" * 65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + b"a" * 65536),
    ],
)
def test_a_websocket_message_is_one_unmasked_frame(body: bytes, expected: bytes) -> None:
    assert websocket_message(Frame(Entry(body))) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"hello", b"id: e-7-0000000000000000\ndata: hello\n\n"),
        (b" two\nlines", b"id: e-7-0000000000000000\ndata:  two\ndata: lines\n\n"),
        (b"a\r\nb\rc\n", b"id: e-7-0000000000000000\ndata: a\ndata: b\ndata: c\ndata: \n\n"),
        (b"\xff", b"id: e-7-0000000000000000\nevent: binary\ndata: /w==\n\n"),
    ],
)
def test_an_event_block_has_one_data_line_a_line(body: bytes, expected: bytes) -> None:
    assert event_block(Frame(Entry(body), "events", "e", 7)) == expected


@given(st.binary(min_size=1))
def test_an_event_block_is_read_back(body: bytes) -> None:
    name, data = read_event(event_block(Frame(Entry(body))))
    if name == "binary":
        assert base64.b64decode(data) == body
        assert not is_utf8(body)
    else:
        assert data == body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def read_event(block: bytes) -> tuple[str, bytes]:
    """What an EventSource makes of `block` (HTML standard, interpreting an event stream)."""
    assert block.endswith(b"\n\n")
    name, data = "message", b""
    for line in block[:-2].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode()
        elif field == b"data":
            data += value + b"\n"
    return name, data.removesuffix(b"\n")


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20))
def test_joined_frames_are_read_one_by_one(bodies: list[bytes]) -> None:
    client = Protocol(Side.CLIENT, max_size=None)
    client.receive_data(Burst("t", [Frame(Entry(body)) for body in bodies]).encoded(websocket_message))
    frames = client.events_received()
    assert [frame.data for frame in frames] == bodies
    assert [frame.opcode is Opcode.TEXT for frame in frames] == [is_utf8(body) for body in bodies]


@given(st.lists(st.one_of(st.binary(max_size=2000), st.text(min_size=300)), min_size=1, max_size=10))
def test_compressed_messages_are_read_in_any_order_by_who_agreed(bodies: list[bytes | str]) -> None:
    deflate = PerMessageDeflate(True, True, WINDOW_BITS, 15)
    encoding = websocket_message.for_peer(PerMessageDeflate(True, True, 15, WINDOW_BITS))
    client = Protocol(Side.CLIENT, max_size=None)
    client.extensions = [deflate]
    frames = [Frame(Entry(body.encode() if isinstance(body, str) else body)) for body in bodies]
    for frame in reversed(frames):
        client.receive_data(frame.encoded(encoding))
    assert [bytes(event.data) for event in client.events_received()] == [f.body for f in reversed(frames)]


def test_what_does_not_shrink_is_not_compressed_and_a_smaller_window_gets_plain_frames() -> None:
    compressing = websocket_message.for_peer(PerMessageDeflate(True, True, 15, WINDOW_BITS))
    short, long, noise = b"a" * (COMPRESSED_FROM - 1), b"a" * COMPRESSED_FROM, random.randbytes(2000)
    assert compressing(Frame(Entry(short))) == websocket_message(Frame(Entry(short)))
    assert len(compressing(Frame(Entry(long)))) < 20
    assert compressing(Frame(Entry(noise))) == websocket_message(Frame(Entry(noise)))
    assert websocket_message.for_peer(PerMessageDeflate(True, True, 15, 9)) is websocket_message
    assert websocket_message.for_peer(None) is websocket_message


def test_each_encoding_is_made_once() -> None:
    made = []

    def encoding(frame: Frame) -> bytes:
        made.append(frame.body)
        return frame.body

    burst = Burst("t", [Frame(Entry(b"a")), Frame(Entry(b"b"))])
    assert made == []
    assert burst.encoded(encoding) is burst.encoded(encoding)
    assert burst.frames[0].encoded(encoding) == b"a"
    assert made == [b"a", b"b"]
