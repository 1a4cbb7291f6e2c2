"""Where a browser stands in a channel: what it shows to be given everything after it.

A position names the epoch, which is one numbering's and no other's; the number of the last message in it; and
the key of that message, by which another process, which numbers for itself, finds the place as well. To
clients it is a string without meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateways.push.entry import message_key, timestamp_of

OLDEST = "oldest"
"""The position before everything that is kept."""

_POSITION = re.compile(r"([0-9a-z]{1,32})-([0-9]{1,19})-([0-9a-f]{16}[0-9A-Za-z]{0,64})", re.ASCII)


@dataclass(frozen=True)
class Position:
    """After message `offset` of `epoch`, which has `key`; a key without id stands for a time only."""

    epoch: str
    offset: int
    key: str

    @property
    def timestamp(self) -> int:
        """When nsqd took the message in, in nanoseconds."""
        return timestamp_of(self.key)

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}-{self.key}"


def parse_position(text: str) -> Position | None:
    """The position that a client shows; None when it is none of ours."""
    match = _POSITION.fullmatch(text)
    return Position(match[1], int(match[2]), match[3]) if match is not None else None


def time_key(timestamp: int) -> str:
    """Sorts before all messages of `timestamp`."""
    return message_key(timestamp, b"")
