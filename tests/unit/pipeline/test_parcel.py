"""A batch in pieces: nothing gets lost between them, whatever is refused."""

from __future__ import annotations

from gateways.pipeline.parcel import Parcel
from harness.pipeline import make_batch


def bodies(parcel: Parcel) -> list[bytes]:
    return [event for piece in parcel.rest() for event in piece.events]


def test_pieces_are_tried_in_order() -> None:
    parcel = Parcel(make_batch([b"a", b"b", b"c", b"d"]))
    assert parcel.current is not None
    parcel.replace(*parcel.current.halves())
    assert parcel.current.events == [b"a", b"b"]
    parcel.replace()
    assert parcel.current.events == [b"c", b"d"]
    parcel.replace()
    assert parcel.current is None


def test_suspects_are_convicted_together_with_their_reasons() -> None:
    parcel = Parcel(make_batch([b"a", b"b"]))
    assert parcel.current is not None
    parcel.replace(*parcel.current.halves())
    parcel.suspect("no a")
    parcel.suspect("no b")
    assert [(batch.events, reason) for batch, reason in parcel.convict()] == [
        ([b"a"], "no a"),
        ([b"b"], "no b"),
    ]
    assert parcel.rest() == []


def test_suspects_taken_back_are_tried_with_the_rest_as_one_batch() -> None:
    parcel = Parcel(make_batch([b"a", b"b", b"c", b"d"]))
    assert parcel.current is not None
    parcel.replace(*parcel.current.halves())
    parcel.replace(*parcel.current.halves())
    parcel.suspect("no a")
    assert bodies(parcel) == [b"a", b"b", b"c", b"d"]
    parcel.take_back()
    assert parcel.current.events == [b"a", b"b", b"c", b"d"]
    assert parcel.current.size == 8
    assert parcel.convict() == []


def test_a_batch_that_is_whole_stays_the_same_object() -> None:
    batch = make_batch([b"a", b"b"])
    parcel = Parcel(batch)
    parcel.take_back()
    assert parcel.current is batch


def test_the_smallest_piece_too_large_counts_unless_one_event_was_to_blame() -> None:
    whole = make_batch([b"a", b"b", b"c", b"d"])
    parcel = Parcel(whole)
    half = whole.halves()[0]
    parcel.note_too_large(whole)
    parcel.note_too_large(half)
    assert parcel.too_much == half.size
    parcel.note_too_large(half.halves()[0])
    assert parcel.too_much == 0
