"""Pauses before connecting again."""

from __future__ import annotations

from nsqgw.connection.reconnect import ReconnectDelay


def test_pauses_double_up_to_the_longest() -> None:
    delay = ReconnectDelay(0.1, 1.0, uniform=lambda low, high: high)
    assert [delay.next() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_takes_away_half_at_most() -> None:
    spans = []
    delay = ReconnectDelay(0.1, 4.0, uniform=lambda low, high: spans.append((low, high)) or low)
    for _ in range(3):
        delay.next()
    assert spans == [(0.05, 0.1), (0.1, 0.2), (0.2, 0.4)]


def test_a_connection_that_worked_starts_them_over() -> None:
    delay = ReconnectDelay(0.1, 4.0, uniform=lambda low, high: high)
    for _ in range(10):
        delay.next()
    delay.reset()
    assert delay.next() == 0.1


def test_thousands_of_failures_change_nothing_any_more() -> None:
    delay = ReconnectDelay(0.1, 4.0)
    assert all(0 < delay.next() <= 4.0 for _ in range(5000))
