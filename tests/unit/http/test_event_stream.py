"""Server-sent events out of bytes cut anywhere."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsqgw.errors import BadAnswer
from nsqgw.http.event_stream import EventStreamParser, ServerSentEvent

STREAM = (
    b"retry: 1500\n\n:\n\nid: e-1\ndata: one\n\n"
    b"id: e-2\r\ndata:two\r\ndata: lines\r\n\r\nevent: x\rdata\r\rdata: left"
)
EVENTS = [
    ServerSentEvent("e-1", b"one"),
    ServerSentEvent("e-2", b"two\nlines"),
    ServerSentEvent("e-2", b""),
]


def feed_often(parser: EventStreamParser, chunk: bytes) -> None:
    for _ in range(20):
        parser.feed(chunk)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_however_it_is_cut_the_events_are_the_same(cuts: list[int]) -> None:
    parser = EventStreamParser(1000)
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in itertools.pairwise(edges)]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS


def test_an_event_without_end_is_refused() -> None:
    parser = EventStreamParser(100)
    with pytest.raises(BadAnswer, match="larger than 100 bytes"):
        feed_often(parser, b"data: " + b"x" * 10)


def test_lines_without_end_are_refused() -> None:
    parser = EventStreamParser(100)
    with pytest.raises(BadAnswer):
        feed_often(parser, b"data: 123456\n")


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_noise_gives_events_or_none(chunks: list[bytes]) -> None:
    parser = EventStreamParser(1000)
    for chunk in chunks:
        parser.feed(chunk)
