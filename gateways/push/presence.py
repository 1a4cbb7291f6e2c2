"""Who is there: the clients of multiplexed connections by channel, and those who want to be told.

Pure bookkeeping: whoever changes it is given back whom to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol


class Client(Protocol):
    """A connection that can be told."""

    client: str
    """Its name among the clients of this gateway."""


class Presence:
    """The clients of `topics`, the only ones anybody may ask about."""

    def __init__(self, topics: Iterable[str] = ()) -> None:
        self._clients: dict[str, dict[Client, None]] = {topic: {} for topic in topics}
        self._watchers: dict[str, dict[Client, None]] = {topic: {} for topic in topics}

    def shown(self, topic: str) -> bool:
        """Whether clients of `topic` may be asked about."""
        return topic in self._clients

    def join(self, topic: str, client: Client, *, watching: bool) -> tuple[Client, ...]:
        """`client` follows `topic`; those to tell, itself not among them."""
        if not self.shown(topic):
            return ()
        told = tuple(self._watchers[topic])
        self._clients[topic][client] = None
        if watching:
            self._watchers[topic][client] = None
        return told

    def leave(self, topic: str, client: Client) -> tuple[Client, ...]:
        """`client` follows `topic` no longer; those to tell."""
        if not self.shown(topic) or client not in self._clients[topic]:
            return ()
        del self._clients[topic][client]
        self._watchers[topic].pop(client, None)
        return tuple(self._watchers[topic])

    def count(self, topic: str) -> int:
        """How many clients there are."""
        return len(self._clients[topic])

    def names(self, topic: str, most: int) -> Sequence[str]:
        """The names of the clients, `most` at most, the oldest first."""
        return [client.client for client in islice(self._clients[topic], most)]
