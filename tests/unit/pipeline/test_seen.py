"""The memory of event keys, and the keys themselves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateways.pipeline.identity import event_id, event_key
from gateways.pipeline.seen import Seen
from harness.pipeline import RecordingOrigin
from nsqgw.message import Message

KEYS = [("topic", b"%016x" % number, number) for number in range(10)]


def test_the_least_recent_is_forgotten_first() -> None:
    seen = Seen(3)
    seen.add(KEYS[:3])
    assert KEYS[0] in seen  # asking makes it recent
    seen.add([KEYS[3]])
    assert KEYS[1] not in seen
    assert all(key in seen for key in (KEYS[0], KEYS[2], KEYS[3]))


@given(st.integers(0, 5), st.lists(st.sampled_from(KEYS), max_size=30))
def test_it_never_holds_more_than_its_capacity_and_always_the_last(capacity: int, keys: list[object]) -> None:
    seen = Seen(capacity)
    for key in keys:
        seen.add([key])  # type: ignore[list-item] # sampled_from forgets the type
        assert len(seen) <= capacity
        assert (key in seen) == (capacity > 0)


def test_an_event_is_the_same_on_each_delivery_and_no_other_one_is() -> None:
    origin = RecordingOrigin()
    first = Message(17, 1, b"0123456789abcdef", b"body", origin)
    again = Message(17, 5, b"0123456789abcdef", b"body", RecordingOrigin())
    assert event_key(first) == event_key(again)
    assert event_id(first) == event_id(again) == "events-0123456789abcdef-17"
    for other in (Message(18, 1, first.id, b"", origin), Message(17, 1, b"0123456789abcdee", b"", origin)):
        assert event_key(other) != event_key(first)
        assert event_id(other) != event_id(first)
