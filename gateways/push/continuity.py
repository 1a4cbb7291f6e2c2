"""Whether what comes from nsqd is everything: from the facts of a topic's consumer.

An ephemeral channel begins with the first connection to an nsqd and ends with the last, with all that is in
it: what was published before, and between two connections, never comes. A durable channel lacks only what
was published before it was made. Where something may be missing the hub tells those who follow.
"""

from __future__ import annotations

from collections.abc import Callable

from nsqgw.instrument import Connected, Fact
from nsqgw.protocol.names import EPHEMERAL_SUFFIX


class Continuity:
    """Listens to the facts of the consumer of `channel`; calls `torn` when messages may have been lost."""

    def __init__(self, channel: str, torn: Callable[[], None]) -> None:
        self._ephemeral = channel.endswith(EPHEMERAL_SUFFIX)
        self._torn = torn
        self._known: set[str] = set()

    def note(self, fact: Fact) -> None:
        """Take a fact in."""
        if isinstance(fact, Connected) and (self._ephemeral or fact.address not in self._known):
            self._known.add(fact.address)
            self._torn()
