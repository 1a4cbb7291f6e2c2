"""Whether refused events are the data's fault or ours: pure, clock readings are passed in.

Single bad events go to the dead letters. A sink that refuses everything, or most of it, tells of a wrong
setting or a new schema: then events are held until a person has looked, so that no topic moves to the dead
letters as a whole.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

REFUSED_IN_A_ROW = 8
"""So many refused one after the other with none confirmed: it is not the data."""

WINDOW = 60.0
MAX_RATIO = 0.5
MIN_EVENTS = 100


class Doubt:
    """One sink's refusals; `holds` from the moment they are too many until a batch is confirmed whole."""

    def __init__(self, max_ratio: float = MAX_RATIO) -> None:
        self._max_ratio = max_ratio
        self._in_a_row = 0
        self._seconds: deque[_Second] = deque()
        self.holds = False
        """Whether refusals are no longer believed."""

    def note(self, now: float, *, refused: int, confirmed: int, proven: bool = False) -> None:
        """An answer about single events: so many were refused, and so many confirmed with them.

        `proven`: events that came in the same batch have passed. Then it may well be the data, many though
        they are: whoever published these published them one after the other.
        """
        self._in_a_row = 0 if confirmed or proven else self._in_a_row + refused
        self._count(now, refused, confirmed)
        all_refused = sum(second.refused for second in self._seconds)
        events = all_refused + sum(second.confirmed for second in self._seconds)
        too_often = events >= MIN_EVENTS and all_refused > self._max_ratio * events
        if self._in_a_row >= REFUSED_IN_A_ROW or too_often:
            self.holds = True

    def passed(self, now: float, count: int) -> None:
        """A batch of so many events was confirmed whole."""
        if self.holds:
            self.holds = False
            self._seconds.clear()
        self._in_a_row = 0
        self._count(now, 0, count)

    def _count(self, now: float, refused: int, confirmed: int) -> None:
        seconds = self._seconds
        if not seconds or now - seconds[-1].began >= 1.0:
            seconds.append(_Second(now))
        seconds[-1].refused += refused
        seconds[-1].confirmed += confirmed
        while seconds[0].began < now - WINDOW:
            seconds.popleft()


@dataclass(slots=True)
class _Second:
    """What was counted in one second."""

    began: float
    refused: int = 0
    confirmed: int = 0
