"""The last messages of a topic, for browsers that come back: bounded in number, bytes and age.

A position names the epoch, which is this ring's and no other's, and the number of a message in it. Whoever
shows one gets exactly what followed, or is told that something between is gone. Pure: the clock is passed in.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Annotated

from pydantic import Field

from gateways.push.frame import Frame
from gateways.service.values import Bytes, Seconds

OLDEST = "oldest"
"""The position before everything that is kept."""

_POSITION = re.compile(r"([0-9a-z]{1,32})-([0-9]{1,19})", re.ASCII)


@dataclass(frozen=True)
class HistoryLimits:
    """What is kept of each topic for browsers that come back.

    max_messages  so many at most
    max_bytes     of their bodies altogether, at most
    max_age       seconds; older ones go
    """

    max_messages: Annotated[int, Field(ge=0)] = 1000
    max_bytes: Bytes = 524_288
    max_age: Seconds = 300.0


@dataclass(frozen=True)
class Replay:
    """What a browser missed; with `gap`, not all of it is left."""

    frames: tuple[Frame, ...]
    gap: bool
    position: str
    """After the last of the frames: where live messages go on."""

    @property
    def start(self) -> str:
        """Before the first of the frames."""
        first = self.frames[0] if self.frames else None
        return self.position if first is None else f"{first.epoch}-{first.offset - 1}"


class History:
    """The ring of one topic."""

    def __init__(self, topic: str, epoch: str, limits: HistoryLimits) -> None:
        self._topic = topic
        self._epoch = epoch
        self._limits = limits
        self._kept: deque[tuple[float, Frame]] = deque()
        self._bytes = 0
        self._last = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def position(self) -> str:
        """After the newest message."""
        return f"{self._epoch}-{self._last}"

    def append(self, bodies: Iterable[bytes], now: float) -> tuple[Frame, ...]:
        """Number the messages and keep them, as far as the bounds allow."""
        frames = []
        for body in bodies:
            self._last += 1
            frame = Frame(body, self._topic, self._epoch, self._last)
            frames.append(frame)
            self._kept.append((now, frame))
            self._bytes += len(body)
        self.expire(now)
        return tuple(frames)

    def expire(self, now: float) -> None:
        """Let go what is too much or too old."""
        limits = self._limits
        while self._kept and (
            len(self._kept) > limits.max_messages
            or self._bytes > limits.max_bytes
            or now - self._kept[0][0] > limits.max_age
        ):
            self._bytes -= len(self._kept.popleft()[1].body)

    def since(self, position: str, now: float) -> Replay:
        """Everything after `position`; after one that is forged or foreign a gap, then all that is kept."""
        self.expire(now)
        kept = len(self._kept)
        missed, gap = kept, position != OLDEST
        match = _POSITION.fullmatch(position)
        if match is not None and match[1] == self._epoch and int(match[2]) <= self._last:
            missed = self._last - int(match[2])
            gap = missed > kept
        frames = tuple(frame for _, frame in islice(self._kept, kept - min(missed, kept), None))
        return Replay(frames, gap, self.position)
