"""Slowing down after failures, for the whole consumer: pure.

A failure stops all deliveries for a pause; then one connection gets one message to probe with. Each
failing probe doubles the pause, each success halves it, and the last one brings back full speed. Results
that arrive during a pause are leftovers and count for nothing, so a burst of failures counts once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Pace(Enum):
    """How fast the consumer may go."""

    FULL = "full"
    PAUSED = "paused"
    PROBING = "probing"


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop deliveries for `duration` seconds, then call `Backoff.expired`."""

    duration: float


@dataclass(frozen=True, slots=True)
class Resume:
    """Back to full speed."""


class Backoff:
    """Fed with results, returns what to do, None for nothing new.

    `multiplier` is the unit in seconds: level n pauses multiplier x 2^n, at most `max_duration`. When
    either is 0 there are no pauses. Chance shortens each pause by up to the part `jitter` of it.
    """

    def __init__(
        self,
        multiplier: float = 1.0,
        max_duration: float = 120.0,
        jitter: float = 0.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._jitter = jitter
        self._chance = chance
        self._multiplier = multiplier
        self._max_duration = max_duration
        self._off = not multiplier * max_duration
        self.level = 0
        self.pace = Pace.FULL

    def succeeded(self) -> Pause | Resume | None:
        """A message was finished."""
        if self.pace is not Pace.PROBING:
            return None
        self.level -= 1
        if self.level == 0:
            self.pace = Pace.FULL
            return Resume()
        return self._pause()

    def failed(self) -> Pause | None:
        """A message was given back because something went wrong."""
        if self._off or self.pace is Pace.PAUSED:
            return None
        if self.level == 0 or self._duration(self.level) < self._max_duration:
            self.level += 1
        return self._pause()

    def expired(self) -> None:
        """The pause is over: probe with one message."""
        if self.pace is Pace.PAUSED:
            self.pace = Pace.PROBING

    def _pause(self) -> Pause:
        self.pace = Pace.PAUSED
        return Pause(self._duration(self.level) * (1 - self._jitter * self._chance()))

    def _duration(self, level: int) -> float:
        return min(self._multiplier * 2.0**level, self._max_duration)
