"""The last messages of a channel, for browsers that come back: bounded in number, bytes and age.

Whoever shows a position of this numbering gets exactly what followed, or is told that something between is
gone. For one of another process, browsers are given everything that came here after that message was
published, and a little before, for messages do not come in the same order everywhere; what they have had they
drop by key. Pure: the clock is passed in, in seconds; timestamps are nsqd's, in nanoseconds.
"""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated

from pydantic import Field

from gateways.push.entry import Entry
from gateways.push.frame import Frame
from gateways.push.position import OLDEST, Position, parse_position, time_key
from gateways.service.values import Bytes, Seconds


@dataclass(frozen=True)
class HistoryLimits:
    """What is kept of each channel for browsers that come back.

    max_messages  so many at most
    max_bytes     of their bodies altogether, at most
    max_age       seconds; older ones go
    overlap       seconds by which two processes may get messages in different order; by no more may the
                  clocks of nsqds and gateways differ
    """

    max_messages: Annotated[int, Field(ge=0)] = 1000
    max_bytes: Bytes = 524_288
    max_age: Seconds = 300.0
    overlap: Seconds = 2.0


@dataclass(frozen=True)
class Replay:
    """What a browser missed; with `gap`, not all of it is left."""

    frames: tuple[Frame, ...]
    gap: bool
    position: str
    """After the last of the frames: where live messages go on."""
    start: str
    """Before the first of the frames."""


@dataclass
class Numbering:
    """Numbers the messages of all channels of a process, so that a position means something in each."""

    epoch: str = field(default_factory=lambda: secrets.token_hex(6))
    last: int = 0
    newest: str = time_key(0)
    """The key of the last message."""

    def frame(self, channel: str, entry: Entry) -> Frame:
        """`entry` as the next message of `channel`."""
        self.last += 1
        self.newest = entry.key
        return Frame(entry, channel, self.epoch, self.last)

    def skip(self) -> int:
        """A number that stands for messages nobody has."""
        self.last += 1
        return self.last


class History:
    """The ring of one channel: complete after number `lost_until`, and for timestamps after `began`."""

    def __init__(
        self, numbering: Numbering, limits: HistoryLimits, *, began: int = 0, lost_until: int = 0
    ) -> None:
        self._numbering = numbering
        self._limits = limits
        self._kept: deque[tuple[float, Frame]] = deque()
        self._bytes = 0
        self._lost_until = self._newest = lost_until
        self._began = began
        # of what is no longer kept: the key of the last, when it arrived, and the ones before it
        self._last_gone = ""
        self._last_gone_at = self._gone_before_at = -math.inf

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, limits: HistoryLimits) -> None:
        """Bound it so from now on."""
        self._limits = limits

    @property
    def size(self) -> int:
        """Bytes of the bodies kept."""
        return self._bytes

    @property
    def gone(self) -> tuple[int, int]:
        """The number and the timestamp until which messages are lost, or not kept any more."""
        at = self._began if math.isinf(self._last_gone_at) else max(self._began, int(self._last_gone_at))
        return self._lost_until, at

    @property
    def position(self) -> str:
        """After the newest message."""
        newest = self._kept[-1][1].key if self._kept else self._last_gone
        key = max(newest, time_key(self._began))
        return str(Position(self._numbering.epoch, self._numbering.last, key))

    def append(self, frames: Iterable[Frame], now: float) -> None:
        """Keep `frames`, numbered upwards, as far as the bounds allow."""
        for frame in frames:
            self._kept.append((now, frame))
            self._bytes += len(frame.body)
            self._newest = frame.offset
        self.expire(now)

    def expire(self, now: float) -> None:
        """Let go what is too much or too old."""
        limits = self._limits
        while self._kept and (
            len(self._kept) > limits.max_messages
            or self._bytes > limits.max_bytes
            or now - self._kept[0][0] > limits.max_age
        ):
            self._let_go(self._kept.popleft()[1])

    def tear(self, offset: int, timestamp: int) -> None:
        """Messages were lost before they came here: up to number `offset`, until `timestamp`."""
        self._lost_until = max(self._lost_until, offset)
        self._newest = max(self._newest, offset)
        self._began = max(self._began, timestamp)

    def begin(self, offset: int) -> None:
        """Under a new epoch: there is nothing of it before number `offset`."""
        self._lost_until = self._newest = offset

    def is_up_to(self, position: Position) -> bool:
        """Whether nothing came, or was lost, after `position`, as far as its number tells."""
        return position.epoch == self._numbering.epoch and position.offset >= self._newest

    def keys(self) -> frozenset[str]:
        """Of the messages kept."""
        return frozenset(frame.key for _, frame in self._kept)

    def since(self, text: str, now: float) -> Replay:
        """Everything after the position `text`; after one that is forged a gap, then all that is kept."""
        self.expire(now)
        if text == OLDEST:
            return self._replay(self._latest(len(self._kept)), None, gap=False)
        position = parse_position(text)
        if position is None:
            return self._replay(self._latest(len(self._kept)), None, gap=True)
        if position.epoch == self._numbering.epoch:
            frames, gap = self._after(position.offset), position.offset < self._lost_until
        else:
            frames, gap = self._around(position), not self._reaches(position)
        return self._replay(frames, None if gap else text, gap=gap)

    @property
    def _overlap(self) -> int:
        return int(self._limits.overlap * 1e9)

    def _let_go(self, frame: Frame) -> None:
        self._bytes -= len(frame.body)
        if frame.epoch == self._numbering.epoch:
            self._lost_until = max(self._lost_until, frame.offset)
        self._gone_before_at = max(self._gone_before_at, self._last_gone_at)
        self._last_gone, self._last_gone_at = frame.key, frame.arrived

    def _after(self, offset: int) -> tuple[Frame, ...]:
        """What has a higher number in this epoch."""
        count = 0
        for _, frame in reversed(self._kept):
            if frame.offset <= offset or frame.epoch != self._numbering.epoch:
                break
            count += 1
        return self._latest(count)

    def _around(self, position: Position) -> tuple[Frame, ...]:
        """What came with or after the first message that did not surely come before `position`.

        By when they came, not when they were published: nsqd may deliver one long after that.
        """
        bound = position.timestamp - self._overlap
        for index, (_, frame) in enumerate(self._kept):
            if frame.arrived >= bound:
                later = self._latest(len(self._kept) - index)
                return tuple(frame for frame in later if frame.key != position.key)
        return ()

    def _reaches(self, position: Position) -> bool:
        """Whether nothing that may have come after `position` elsewhere is lost here."""
        bound = position.timestamp - self._overlap
        if bound < self._began or bound <= self._gone_before_at:
            return False
        return self._last_gone == position.key or self._last_gone_at < bound

    def _latest(self, count: int) -> tuple[Frame, ...]:
        return tuple(frame for _, frame in islice(self._kept, len(self._kept) - count, None))

    def _replay(self, frames: tuple[Frame, ...], asked: str | None, *, gap: bool) -> Replay:
        """`asked` is the position that is known to stand before the frames."""
        start = asked or self.position
        if asked is None and frames:
            first = frames[0]
            key = time_key(max(0, first.entry.timestamp - 1))
            start = str(Position(first.epoch, first.offset - 1, key))
        return Replay(frames, gap, self.position, start)
