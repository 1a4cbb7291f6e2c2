"""Whether what comes from nsqd is everything: from the facts of a topic's consumer.

An ephemeral channel begins with the first connection to an nsqd and ends with the last, with all that is in
it. An nsqd that is killed loses what was in flight even of a durable one. So after a connection that was
lost something may be missing, and after the first one to an nsqd what was published to it before, unless
other processes consumed the channel meanwhile. Then those who follow have to be told.
"""

from __future__ import annotations

from collections.abc import Callable

from nsqgw.instrument import Connected, Fact


class Continuity:
    """Listens to the facts of a consumer; calls `torn` when messages may have been lost."""

    def __init__(self, torn: Callable[[], None], *, shared: bool = False) -> None:
        self._torn = torn
        self._shared = shared
        self._known: set[str] = set()

    def note(self, fact: Fact) -> None:
        """Take a fact in."""
        if isinstance(fact, Connected):
            if fact.address in self._known or not self._shared:
                self._torn()
            self._known.add(fact.address)
