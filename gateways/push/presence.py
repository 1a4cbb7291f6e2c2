"""Who is there: the clients of multiplexed connections by channel, and those who want to be told.

Pure bookkeeping: whoever changes it is given back whom to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Protocol


class Client(Protocol):
    """A connection that can be told."""

    client: str
    """Its name among the clients of this gateway."""


class Presence:
    """The clients of channels of `topics`, the only ones anybody may ask about; `topic_of` a channel."""

    def __init__(
        self, topics: Iterable[str] = (), topic_of: Callable[[str], str | None] = lambda channel: channel
    ) -> None:
        self._topics = frozenset(topics)
        self._topic_of = topic_of
        self._clients: dict[str, dict[Client, None]] = {}
        self._watchers: dict[str, dict[Client, None]] = {}

    def show(self, topics: Iterable[str]) -> None:
        """Let clients of channels of these topics be asked about, and of no others, from now on."""
        self._topics = frozenset(topics)

    def shown(self, channel: str) -> bool:
        """Whether clients of `channel` may be asked about."""
        return bool(self._topics) and self._topic_of(channel) in self._topics

    def join(self, channel: str, client: Client, *, watching: bool) -> tuple[Client, ...]:
        """`client` follows `channel`; those to tell, itself not among them."""
        if not self.shown(channel):
            return ()
        told = tuple(self._watchers.get(channel, ()))
        self._clients.setdefault(channel, {})[client] = None
        if watching:
            self._watchers.setdefault(channel, {})[client] = None
        return told

    def leave(self, channel: str, client: Client) -> tuple[Client, ...]:
        """`client` follows `channel` no longer; those to tell."""
        if client not in self._clients.get(channel, ()):
            return ()
        for kept in (self._clients, self._watchers):
            clients = kept.get(channel, {})
            clients.pop(client, None)
            if not clients:
                kept.pop(channel, None)
        return tuple(self._watchers.get(channel, ()))

    def unwatch(self, channel: str, client: Client) -> None:
        """`client` is told of `channel` no longer, which it may follow on."""
        watchers = self._watchers.get(channel, {})
        watchers.pop(client, None)
        if not watchers:
            self._watchers.pop(channel, None)

    def count(self, channel: str) -> int:
        """How many clients there are."""
        return len(self._clients.get(channel, ()))

    def names(self, channel: str, most: int) -> Sequence[str]:
        """The names of the clients, `most` at most, the oldest first."""
        return [client.client for client in islice(self._clients.get(channel, ()), most)]
