"""A consumer's figures at one moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """One connection to one topic; counts since it was made."""

    address: str
    topic: str
    rdy: int
    in_flight: int
    received: int
    finished: int
    requeued: int
    touched: int


@dataclass(frozen=True, slots=True)
class ConsumerStats:
    """All connections together; counts since the consumer was made, lost connections included."""

    received: int
    finished: int
    requeued: int
    touched: int
    in_flight: int
    connections: tuple[ConnectionStats, ...]


@dataclass(slots=True)
class Totals:
    """Counts of the connections that are gone."""

    received: int = 0
    finished: int = 0
    requeued: int = 0
    touched: int = 0

    def add(self, connection: ConnectionStats) -> None:
        """The connection has ended."""
        self.received += connection.received
        self.finished += connection.finished
        self.requeued += connection.requeued
        self.touched += connection.touched

    def with_living(self, connections: tuple[ConnectionStats, ...]) -> ConsumerStats:
        """Everything up to now."""
        return ConsumerStats(
            self.received + sum(connection.received for connection in connections),
            self.finished + sum(connection.finished for connection in connections),
            self.requeued + sum(connection.requeued for connection in connections),
            self.touched + sum(connection.touched for connection in connections),
            sum(connection.in_flight for connection in connections),
            connections,
        )
