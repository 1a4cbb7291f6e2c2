"""Batches by count, bytes and age; parts of a batch."""

from __future__ import annotations

from operator import attrgetter

from gateways.pipeline.batch import Batcher, BatchLimits
from harness.pipeline import RecordingOrigin, make_batch, make_messages

ORIGIN = RecordingOrigin()


def batcher(
    max_messages: int = 100, max_bytes: int = 1000, max_age: float = 1.0, overhead: int = 0
) -> Batcher:
    return Batcher(BatchLimits(max_messages, max_bytes, max_age), attrgetter("body"), overhead)


def test_a_batch_is_cut_when_it_has_max_messages() -> None:
    subject = batcher(max_messages=2)
    full = subject.add(make_messages([b"a", b"b", b"c"], ORIGIN), now=5.0)
    assert [batch.events for batch in full] == [[b"a", b"b"]]
    assert subject.open is not None
    assert subject.open.events == [b"c"]


def test_a_batch_is_cut_before_the_event_that_would_make_it_too_large() -> None:
    subject = batcher(max_bytes=10, overhead=1)
    full = subject.add(make_messages([b"1234", b"1234", b"5"], ORIGIN), now=5.0)
    assert [batch.events for batch in full] == [[b"1234", b"1234"]]
    assert full[0].size == 10
    assert subject.open is not None
    assert subject.open.size == 2


def test_an_event_above_the_limit_goes_alone() -> None:
    full = batcher(max_bytes=10).add(make_messages([b"1", b"x" * 50, b"2"], ORIGIN), now=0.0)
    assert [batch.events for batch in full] == [[b"1"], [b"x" * 50]]


def test_the_age_counts_from_the_first_message() -> None:
    subject = batcher(max_age=2.0)
    assert subject.due_at is None
    subject.add(make_messages([b"a"], ORIGIN), now=10.0)
    subject.add(make_messages([b"b"], ORIGIN), now=11.0)
    assert subject.due_at == 12.0
    batch = subject.cut()
    assert batch is not None
    assert batch.born == 10.0
    assert subject.due_at is None
    assert subject.cut() is None


def test_sizes_are_those_of_the_encoded_events() -> None:
    subject = Batcher(BatchLimits(), encode=lambda message: message.body * 3, event_overhead=2)
    subject.add(make_messages([b"ab"], ORIGIN), now=0.0)
    assert subject.open is not None
    assert subject.open.events == [b"ababab"]
    assert subject.open.size == 8


def test_pick_keeps_order_framing_and_birth() -> None:
    part = make_batch([b"a", b"bb", b"c", b"dddd"], born=7.0).pick([0, 3])
    assert part.events == [b"a", b"dddd"]
    assert [message.body for message in part.messages] == part.events
    assert (part.size, part.born) == (7, 7.0)


def test_limits_of_the_sink_are_kept_where_they_are_lower() -> None:
    assert BatchLimits(500, 1000, 2.0).within(100, 0) == BatchLimits(100, 1000, 2.0)
    assert BatchLimits(500, 1000, 2.0).within(0, 200) == BatchLimits(500, 200, 2.0)
    assert BatchLimits(500, 1000, 2.0).within(1000, 5000) == BatchLimits(500, 1000, 2.0)
