"""Time and tag of messages, by which clients of push-stream go on where they were.

In the module a tag orders the messages of one second, over all channels. Here it is the number that the hub
gives each message, over all channels, too: below a part that says which numbering it is of. Tags stay below
2**53, which JavaScript counts exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from zlib import crc32

from gateways.push.frame import Frame
from gateways.push.history import Numbering
from gateways.push.position import Position, time_key

_COUNT_BITS = 33
_EPOCH_BITS = 20
_NS = 1_000_000_000


@dataclass(frozen=True, order=True)
class Stamp:
    """A message's place among all: its tag, and when nsqd took it in, in seconds since the epoch."""

    tag: int
    seconds: int

    @classmethod
    def of(cls, frame: Frame) -> Stamp:
        """That of a message."""
        return cls(_tag(frame.epoch, frame.offset), frame.entry.timestamp // _NS)

    @classmethod
    def after_all(cls, numbering: Numbering, now: float) -> Stamp:
        """After the newest message; `now` is the wall clock's."""
        return cls(_tag(numbering.epoch, numbering.last), int(now))

    @property
    def date(self) -> str:
        """The time as HTTP writes it."""
        return formatdate(self.seconds, usegmt=True)


def position_of(tag: int | None, seconds: int, numbering: Numbering) -> str:
    """The hub's position for a tag of this numbering; for others that of the time, so to say elsewhere."""
    key = time_key(seconds * _NS)
    if tag is not None and tag >> _COUNT_BITS == _tag(numbering.epoch, 0) >> _COUNT_BITS:
        return str(Position(numbering.epoch, tag & ((1 << _COUNT_BITS) - 1), key))
    return str(Position("0", 0, key))


def _tag(epoch: str, offset: int) -> int:
    return (1 + crc32(epoch.encode()) % ((1 << _EPOCH_BITS) - 1) << _COUNT_BITS) + offset
