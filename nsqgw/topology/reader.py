"""One reader of a journal: a place in it, and the wait for more. What is read is never kept twice."""

from __future__ import annotations

import asyncio
from types import TracebackType

from nsqgw.deadline import within
from nsqgw.topology.changes import Change
from nsqgw.topology.events import Position
from nsqgw.topology.journal import Entry, Journal

BATCH = 500
"""Events handed out at once."""


class JournalReader:
    """Reads on behind `position`; from a snapshot on when that is None, or too long ago.

    A context manager: it hears of news inside only.
    """

    def __init__(self, journal: Journal, position: Position | None = None) -> None:
        self._journal = journal
        self._news = asyncio.Event()
        self.position = position
        """Behind the last entry that was given, if there was one; may be set to read again."""
        self.missed = 0
        """Changes this reader will never see one by one; the snapshot given in their place has them."""

    def __enter__(self) -> JournalReader:
        self._journal.listeners.add(self._woken)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.listeners.discard(self._woken)

    async def read(self, timeout: float) -> list[Entry]:
        """What is new, a part of it if it is much; empty when nothing came for `timeout` seconds."""
        entries = self._take()
        if not entries:
            try:
                await within(timeout, self._news.wait())
            except asyncio.TimeoutError:
                return []
            entries = self._take()
        return entries

    def _take(self) -> list[Entry]:
        self._news.clear()
        known = None if self.position is None else self._journal.after(self.position)
        if known is None:
            if self.position is not None and self.position.epoch == self._journal.epoch:
                self.missed += max(0, self._journal.sequence - self.position.sequence)
            known = [self._journal.snapshot()]
        entries = known[:BATCH]
        if entries:
            self.position = entries[-1].event.position
        return entries

    def _woken(self, changes: list[Change]) -> None:
        self._news.set()
