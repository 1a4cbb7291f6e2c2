"""Where news of the cluster may come from beside polling: the seam for a feed of topology changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class TopologyFeed(Protocol):
    """Tells at once what a poll of nsqlookupd would find up to a minute later."""

    def follow(self, topic: str, on_found: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call `on_found` on the event loop with the `host:port` of nsqds that now have `topic`.

        Returns what is to be called when nobody wants to know any more. An nsqd that left need not be told:
        its connection ends by itself.
        """
