"""How many messages may come, so that the bytes in hand stay bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateways.pipeline.intake import Intake


def test_small_messages_come_at_full_speed() -> None:
    intake = Intake(2500, 1_000_000, consumers=2)
    intake.arrived(200)
    assert intake.allowance(held_bytes=0) == 2500


def test_it_stops_at_the_bound_and_goes_on_below_half_of_it() -> None:
    intake = Intake(100, 1000, consumers=1)
    assert intake.allowance(999) > 0
    assert intake.allowance(1000) == 0
    assert intake.allowance(600) == 0
    assert intake.allowance(499) > 0
    assert intake.allowance(600) > 0


def test_large_messages_come_a_few_at_a_time_until_they_are_long_past() -> None:
    intake = Intake(2500, 64_000_000, consumers=2)
    intake.arrived(1_000_000)
    assert intake.allowance(0) == 32
    for _ in range(10):
        intake.arrived(200)
    assert intake.allowance(0) < 64
    for _ in range(2000):
        intake.arrived(200)
    assert intake.allowance(0) == 2500


@given(st.integers(1, 5000), st.integers(1, 10**9), st.integers(1, 50), st.integers(0, 2**21))
def test_what_may_come_fits_in_memory_or_is_one(limit: int, size: int, consumers: int, largest: int) -> None:
    intake = Intake(limit, size, consumers)
    intake.arrived(largest)
    allowed = intake.allowance(0)
    assert 1 <= allowed <= limit
    assert allowed == 1 or allowed * consumers * largest <= size
