"""A disk queue's meta file: how many messages, where to read on, where to write on.

Three lines of decimal numbers, as go-diskqueue writes them. `recover` decides what a queue goes on with when
the process before it ended without writing them a last time, or when they are damaged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

_THREE_LINES = re.compile(rb"(-?\d{1,18})\n(\d{1,18}),(\d{1,18})\n(\d{1,18}),(\d{1,18})\n?")


class Position(NamedTuple):
    """A place in a queue; positions compare as the messages follow each other."""

    file: int
    offset: int


@dataclass(frozen=True)
class Meta:
    """`depth` messages stand from `read` up to `write`."""

    depth: int
    read: Position
    write: Position

    def encode(self) -> bytes:
        """The content of the meta file."""
        return b"%d\n%d,%d\n%d,%d\n" % (self.depth, *self.read, *self.write)


FRESH = Meta(0, Position(0, 0), Position(0, 0))
"""A new queue; it needs no meta file."""


def parse_meta(content: bytes) -> Meta | None:
    """What a meta file says; None when it makes no sense."""
    found = _THREE_LINES.fullmatch(content)
    if found is None:
        return None
    depth, read_file, read_offset, write_file, write_offset = map(int, found.groups())
    read, write = Position(read_file, read_offset), Position(write_file, write_offset)
    return Meta(depth, read, write) if read <= write else None


@dataclass(frozen=True)
class Recovery:
    """What to go on with, and why it is not what the meta file says; an empty `reason` says that it is.

    `uncounted` is where the records begin that the depth in `meta` leaves out.
    """

    meta: Meta
    reason: str = ""
    uncounted: Position | None = None


def recover(meta: Meta | None, sizes: Mapping[int, int]) -> Recovery:
    """From what the meta file said (None: missing or damaged) and the sizes of the data files by number.

    When files and meta disagree, writing goes on in a new file behind all others: what the files hold beyond
    the meta is salvaged, and nothing is written behind bytes that may be torn.
    """
    last = max(sizes, default=-1)
    if meta is None:
        if not sizes:
            return Recovery(FRESH)
        first = Position(min(sizes), 0)
        fresh = Meta(0, first, Position(last + 1, 0))
        return Recovery(fresh, "no usable meta file, reading all data files", uncounted=first)
    size = sizes.get(meta.write.file, 0)
    if size == meta.write.offset and last <= meta.write.file:
        return Recovery(meta)
    salvaged = Meta(meta.depth, meta.read, Position(max(last, meta.write.file) + 1, 0))
    reason = (
        f"metadata writePos {meta.write.file},{meta.write.offset}, files go up to {last},{sizes.get(last, 0)}"
    )
    return Recovery(salvaged, reason, uncounted=meta.write)
