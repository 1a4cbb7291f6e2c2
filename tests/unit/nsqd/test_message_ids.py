"""Message ids: shape, order, and what happens when a tick is used up or the clock goes back."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from compat.nsqd.message_ids import MessageIds
from harness.channels import NOW_NS


def test_an_id_tells_tick_node_and_sequence() -> None:
    first, second = MessageIds(613).take(2, NOW_NS)
    assert re.fullmatch(rb"[0-9a-f]{16}", first)
    number = int(first, 16)
    assert number >> 22 == (NOW_NS >> 20) - 1288834974288
    assert number >> 12 & 1023 == 613
    assert int(second, 16) == number + 1


@given(st.lists(st.tuples(st.integers(-3_000_000, 3_000_000), st.integers(0, 9000)), min_size=1, max_size=8))
def test_ids_always_increase(steps: list[tuple[int, int]]) -> None:
    ids, now, taken = MessageIds(1023), NOW_NS, [b""]
    for step, count in steps:
        now += step
        batch = ids.take(count, now)
        assert len(batch) == count
        taken += batch
    assert taken == sorted(set(taken))
    assert all(len(each) == 16 for each in taken[1:])
