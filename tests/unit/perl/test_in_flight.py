"""Which messages may still be answered: until they are, or nsqd has taken them back."""

from __future__ import annotations

from compat.perl.in_flight import InFlight


def test_a_message_is_held_until_it_is_answered() -> None:
    in_flight = InFlight(900.0)
    in_flight.add("a", 0.0)
    assert in_flight.holds("a", 899.0)
    in_flight.discard("a")
    in_flight.discard("a")
    assert not in_flight.holds("a", 1.0)


def test_those_that_timed_out_are_forgotten_as_others_come() -> None:
    in_flight = InFlight(900.0)
    for number in range(1000):
        in_flight.add(str(number), float(number))
    assert not in_flight.holds("99", 999.0)
    assert in_flight.holds("100", 999.0)
    assert len(in_flight) == 900


def test_one_that_comes_again_is_young_again() -> None:
    in_flight = InFlight(10.0)
    in_flight.add("a", 0.0)
    in_flight.add("b", 5.0)
    in_flight.add("a", 9.0)
    in_flight.add("c", 16.0)
    assert [key for key in "abc" if in_flight.holds(key, 16.0)] == ["a", "c"]
    assert len(in_flight) == 2
