"""Sharing max_in_flight, by examples; the rules in general are in properties/test_rdy_properties.py."""

from __future__ import annotations

from nsqgw.consumer.rdy import RdyAllocator


def test_c_cli_07_shares_follow_the_connections() -> None:
    allocator: RdyAllocator[str] = RdyAllocator(10)
    assert allocator.add("a", 2500, 0.0) == [("a", 10)]
    assert allocator.add("b", 2500, 0.0) == [("a", 5), ("b", 5)]
    assert allocator.add("c", 2500, 0.0) == [("a", 3), ("b", 3), ("c", 3)]
    assert allocator.remove("b", 0.0) == [("a", 5), ("c", 5)]


def test_c_cli_08_the_lowered_come_first() -> None:
    allocator: RdyAllocator[str] = RdyAllocator(1, idle_timeout=10.0)
    allocator.add("a", 2500, 0.0)
    allocator.add("b", 2500, 0.0)
    assert allocator.rotate(10.0) == [("a", 0), ("b", 1)]
    assert allocator.rotate(20.0) == [("b", 0), ("a", 1)]


def test_c_cli_09_the_servers_ceiling_holds() -> None:
    allocator: RdyAllocator[str] = RdyAllocator(5000)
    assert allocator.add("a", 2500, 0.0) == [("a", 2500)]
    assert allocator.add("b", 100, 0.0) == [("b", 100)]


def test_c_cli_10_one_for_three_goes_round() -> None:
    allocator: RdyAllocator[str] = RdyAllocator(1, idle_timeout=10.0, busy_timeout=30.0)
    for key in "abc":
        allocator.add(key, 2500, 0.0)
    holders = []
    for now in (5.0, 10.0, 15.0, 20.0, 25.0, 30.0):
        allocator.rotate(now)
        holders += [key for key in "abc" if allocator.rdy(key)]
    assert holders == ["a", "b", "b", "c", "c", "a"]


def test_a_busy_holder_keeps_its_turn_until_the_longer_time_out() -> None:
    allocator: RdyAllocator[str] = RdyAllocator(1, idle_timeout=10.0, busy_timeout=30.0)
    allocator.add("a", 2500, 0.0)
    allocator.add("b", 2500, 0.0)
    for now in (9.0, 18.0, 27.0):
        allocator.heard("a", now)
        assert allocator.rotate(now + 2.0) == []
    assert allocator.rotate(30.0) == [("a", 0), ("b", 1)]


def test_nobody_hands_over_when_nobody_waits() -> None:
    allocator: RdyAllocator[str] = RdyAllocator(2, idle_timeout=10.0)
    allocator.add("a", 2500, 0.0)
    allocator.add("b", 2500, 0.0)
    assert allocator.rotate(1000.0) == []


def test_c_cli_11_the_same_limit_again_changes_nothing() -> None:
    allocator: RdyAllocator[str] = RdyAllocator(10)
    allocator.add("a", 2500, 0.0)
    assert allocator.set_limit(10, 1.0) == []


def test_c_cli_31_a_limit_of_zero_stops_all() -> None:
    allocator: RdyAllocator[str] = RdyAllocator(10)
    allocator.add("a", 2500, 0.0)
    allocator.add("b", 2500, 0.0)
    assert allocator.set_limit(0, 1.0) == [("a", 0), ("b", 0)]
    assert allocator.add("c", 2500, 2.0) == []
    assert allocator.set_limit(9, 3.0) == [("a", 3), ("b", 3), ("c", 3)]


def test_a_connection_that_never_took_part_can_go() -> None:
    assert RdyAllocator[str](10).remove("a", 0.0) == []
