"""Whatever arrives, batches keep the order, lose nothing and keep their limits."""

from __future__ import annotations

from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st

from gateways.pipeline.batch import Batch, Batcher, BatchLimits
from harness.pipeline import RecordingOrigin, make_batch, make_messages

BODIES = st.lists(st.binary(max_size=30), max_size=60)


@given(st.lists(BODIES, max_size=6), st.integers(1, 10), st.integers(1, 60), st.integers(0, 3))
def test_batches_are_the_stream_in_pieces(
    chunks: list[list[bytes]], max_messages: int, max_bytes: int, overhead: int
) -> None:
    batcher = Batcher(BatchLimits(max_messages, max_bytes, 1.0), attrgetter("body"), overhead)
    batches = []
    for now, bodies in enumerate(chunks):
        batches += batcher.add(make_messages(bodies, RecordingOrigin()), float(now))
    if (last := batcher.cut()) is not None:
        batches.append(last)
    assert [event for batch in batches for event in batch.events] == [
        body for bodies in chunks for body in bodies
    ]
    for batch in batches:
        assert 1 <= len(batch) <= max_messages
        assert batch.size == sum(len(event) + overhead for event in batch.events)
        assert batch.size <= max_bytes or len(batch) == 1
    assert [batch.born for batch in batches] == sorted(batch.born for batch in batches)


@given(st.lists(st.binary(max_size=20), min_size=2, max_size=9))
def test_halves_joined_again_are_the_batch(bodies: list[bytes]) -> None:
    batch = make_batch(bodies, born=7.0)
    first, second = batch.halves()
    assert abs(len(first) - len(second)) <= 1
    joined = Batch.joined([first, second])
    assert (joined.events, joined.messages) == (batch.events, batch.messages)
    assert (joined.size, joined.born) == (batch.size, 7.0)
