"""Every connection is seen once a turn, and the slots are filled evenly."""

from __future__ import annotations

from gateways.push.wheel import Wheel


def test_every_item_is_seen_once_a_turn() -> None:
    wheel: Wheel[int] = Wheel(4)
    for item in range(10):
        wheel.add(item)
    turns = [wheel.tick() for _ in range(4)]
    assert sorted(item for due in turns for item in due) == list(range(10))
    assert {len(due) for due in turns} == {2, 3}
    assert wheel.tick() == turns[0]


def test_what_is_taken_off_is_not_seen() -> None:
    wheel: Wheel[str] = Wheel(2)
    wheel.add("a")
    wheel.add("b")
    wheel.discard("a")
    wheel.discard("a")
    assert (len(wheel), list(wheel)) == (1, ["b"])
    assert wheel.tick() + wheel.tick() == ("b",)
