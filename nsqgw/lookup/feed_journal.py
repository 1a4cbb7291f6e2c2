"""The feed of a journal in this process, for whoever keeps one and connects to what it tells of."""

from __future__ import annotations

from nsqgw.lookup.feed import Announcements
from nsqgw.topology.changes import Change
from nsqgw.topology.journal import Journal

_SOURCE = "journal"


class JournalFeed(Announcements):
    """Tells what is recorded in `journal`, until `close`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self.reset(_SOURCE, journal.cluster)
        journal.listeners.add(self._recorded)

    def close(self) -> None:
        """Tell nothing more."""
        self._journal.listeners.discard(self._recorded)

    def _recorded(self, changes: list[Change]) -> None:
        self.announce(self._journal.cluster, changes)
