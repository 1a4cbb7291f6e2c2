"""The client's parser: however a stream is cut the events are the same, and nothing but NSQ passes."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.streams import cut
from nsqgw.errors import FrameTooBig, NotNSQ, ProtocolError
from nsqgw.protocol.client import ClientProtocol
from nsqgw.protocol.frames import encode_error, encode_message, encode_response
from nsqgw.protocol.messages import (
    Confirmations,
    ErrorResponse,
    FrameParser,
    Heartbeat,
    Messages,
    Response,
)

Flat = tuple[Any, ...]

LIMIT = 4096

frames = st.one_of(
    st.just(encode_response(b"OK")),
    st.just(encode_response(b"_heartbeat_")),
    st.binary(max_size=20).map(encode_response),
    st.binary(max_size=30).map(encode_error),
    st.builds(
        encode_message,
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 2**16 - 1),
        st.binary(min_size=16, max_size=16),
        st.binary(max_size=60),
    ),
)
streams = st.lists(frames, max_size=30)


def make(timestamp: int, attempts: int, message_id: bytes, body: bytes, source: Any) -> Flat:
    return ("message", timestamp, attempts, message_id, body)


def flatten(events: list[Any]) -> list[Flat]:
    """One entry a frame, however the frames were grouped."""
    flat: list[Flat] = []
    for event in events:
        match event:
            case Messages(messages):
                assert messages
                flat += messages
            case Confirmations(count):
                assert count > 0
                flat += [("ok",)] * count
            case Response(data):
                flat.append(("response", data))
            case ErrorResponse(error):
                flat.append(("error", type(error), error.data))
            case Heartbeat():
                flat.append(("heartbeat",))
            case _:
                raise AssertionError(f"unknown event {event!r}")
    return flat


def expected(stream: list[bytes]) -> list[Flat]:
    """What each frame alone means."""
    return [entry for data in stream for entry in flatten(FrameParser(make, LIMIT).feed(data))]


@given(streams, st.lists(st.integers(0, 5000), max_size=20))
def test_any_split_gives_the_same_events(stream: list[bytes], cuts: list[int]) -> None:
    parser = FrameParser(make, LIMIT)
    pieces = cut(b"".join(stream), cuts)
    assert flatten([event for piece in pieces for event in parser.feed(piece)]) == expected(stream)
    assert parser.take_pending() == b""


@given(streams)
def test_byte_by_byte_gives_the_same_events(stream: list[bytes]) -> None:
    parser = FrameParser(make, LIMIT)
    data = b"".join(stream)
    events = [event for position in range(len(data)) for event in parser.feed(data[position : position + 1])]
    assert flatten(events) == expected(stream)


@given(streams, st.lists(st.integers(0, 5000), max_size=20), st.integers(1, 5))
def test_the_handshake_takes_frames_one_by_one_and_leaves_the_rest(
    stream: list[bytes], cuts: list[int], handshake: int
) -> None:
    protocol = ClientProtocol(make, LIMIT)
    pieces = cut(b"".join(stream), cuts)
    flat: list[Flat] = []
    for piece in pieces[:handshake]:
        events = flatten(protocol.receive_data(piece))
        assert len(events) <= 1
        flat += events
    flat += flatten(protocol.established())
    for piece in pieces[handshake:]:
        flat += flatten(protocol.receive_data(piece))
    assert flat == expected(stream)


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**16 - 1),
    st.binary(min_size=16, max_size=16),
    st.binary(max_size=LIMIT - 30),
)
def test_messages_survive_encoding_and_parsing(
    timestamp: int, attempts: int, message_id: bytes, body: bytes
) -> None:
    (event,) = FrameParser(make, LIMIT).feed(encode_message(timestamp, attempts, message_id, body))
    assert flatten([event]) == [("message", timestamp, attempts, message_id, body)]


@given(st.lists(st.binary(max_size=200), max_size=20))
@example([b"HTTP/1.1 400 Bad Request\r\n"])
def test_random_bytes_end_in_events_or_a_protocol_error(reads: list[bytes]) -> None:
    parser = FrameParser(make, LIMIT)
    try:
        for read in reads:
            flatten(parser.feed(read))
    except ProtocolError:
        return
    assert len(parser.take_pending()) <= 4 + LIMIT


@given(streams, st.binary(max_size=12), st.integers(0, 5000), st.integers(0, 255))
def test_a_flipped_byte_is_data_or_a_protocol_error(
    stream: list[bytes], tail: bytes, position: int, value: int
) -> None:
    data = bytearray(b"".join(stream) + tail)
    if data:
        data[position % len(data)] = value
    parser = FrameParser(make, LIMIT)
    try:
        flatten(parser.feed(bytes(data)))
    except ProtocolError:
        return
    assert len(parser.take_pending()) <= 4 + LIMIT


BAD_HEADERS = {
    "2 GiB message": (struct.pack(">ii", 2**31 - 1, 2), FrameTooBig),
    "2 GiB response": (struct.pack(">ii", 2**31 - 1, 0), FrameTooBig),
    "one byte too many": (struct.pack(">ii", LIMIT + 1, 2), FrameTooBig),
    "negative": (struct.pack(">ii", -1, 0), ProtocolError),
    "most negative": (struct.pack(">ii", -(2**31), 2), ProtocolError),
    "no room for the type": (struct.pack(">ii", 3, 0), ProtocolError),
    "no room for an id": (struct.pack(">ii", 29, 2), ProtocolError),
    "unknown type": (struct.pack(">ii", 6, 3), ProtocolError),
    "negative type": (struct.pack(">ii", 6, -1), ProtocolError),
    "HTTP": (b"HTTP/1.1", NotNSQ),
}
bad_headers = pytest.mark.parametrize(
    ("header", "error"), BAD_HEADERS.values(), ids=[name.replace(" ", "-") for name in BAD_HEADERS]
)


@bad_headers
@pytest.mark.parametrize("before", [b"", encode_response(b"OK"), encode_message(1, 1, b"i" * 16, b"b")])
def test_a_bad_header_raises_before_anything_behind_it_is_buffered(
    header: bytes, error: type[ProtocolError], before: bytes
) -> None:
    parser = FrameParser(make, LIMIT)
    with pytest.raises(error):
        parser.feed(before + header)


@bad_headers
def test_a_bad_header_raises_with_its_last_byte(header: bytes, error: type[ProtocolError]) -> None:
    parser = FrameParser(make, LIMIT)
    for position in range(7):
        assert parser.feed(header[position : position + 1]) == []
    with pytest.raises(error):
        parser.feed(header[7:])


@bad_headers
def test_a_bad_header_behind_the_handshake_raises_as_soon_as_it_is_its_turn(
    header: bytes, error: type[ProtocolError]
) -> None:
    protocol = ClientProtocol(make, LIMIT)
    assert flatten(protocol.receive_data(encode_response(b"OK") + header)) == [("ok",)]
    with pytest.raises(error):
        protocol.established()


def test_a_frame_of_exactly_the_limit_passes() -> None:
    body = b"x" * (LIMIT - 30)
    (event,) = FrameParser(make, LIMIT).feed(encode_message(1, 1, b"i" * 16, body))
    assert flatten([event])[0][4] == body


class CountingBytes(bytearray):
    """Counts what is copied out of it."""

    copied = 0

    def __bytes__(self) -> bytes:
        CountingBytes.copied += len(self)
        return bytes(memoryview(self))


def test_single_bytes_cost_linear_time() -> None:
    """Each byte may be copied out of the tail a few times, not once for every byte that follows."""
    CountingBytes.copied = 0
    stream = encode_message(1, 1, b"i" * 16, b"x" * 50_000) + encode_response(b"OK") * 100
    parser = FrameParser(make, 100_000)
    parser._pending = CountingBytes()
    events = [
        event for position in range(len(stream)) for event in parser.feed(stream[position : position + 1])
    ]
    assert len(flatten(events)) == 101
    assert CountingBytes.copied <= 4 * len(stream)
