"""A consumer's figures over living and lost connections."""

from __future__ import annotations

from nsqgw.consumer.stats import ConnectionStats, Totals


def test_lost_connections_count_on_but_have_nothing_in_flight() -> None:
    totals = Totals()
    totals.add(ConnectionStats("a", "t", rdy=5, in_flight=3, received=10, finished=6, requeued=1, touched=2))
    living = ConnectionStats("b", "t", rdy=2, in_flight=1, received=4, finished=2, requeued=1, touched=3)
    stats = totals.with_living((living,))
    assert (stats.received, stats.finished, stats.requeued, stats.in_flight) == (14, 8, 2, 1)
    assert stats.touched == 5
    assert stats.connections == (living,)
    assert totals.with_living(()).in_flight == 0
