"""Log lines that repeat: the first few of a kind in ten seconds are written, the others counted.

A kind is one place in the code speaking about one thing: the text before its arguments are put in, and the
first argument; for what is no warning all of them. After that time the last line of the kind comes out with
the count. Of debug lines none is held back: who asks for them wants all.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

WINDOW = 10.0
"""Seconds in which lines of a kind are counted together."""

LINES = 5
"""So many of a kind are written in that time."""

MAX_KINDS = 500
_MAX_SUBJECT = 200

Kind = tuple[str, int, str, str]


@dataclass(slots=True)
class _Seen:
    began: float
    record: logging.LogRecord
    written: int = 0
    held_back: int = 0


class Flood:
    """What was said in the last seconds. Pure: `clock` gives seconds, of a clock that never jumps."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[Kind, _Seen] = OrderedDict()  # by when their window began

    def lets_pass(self, record: logging.LogRecord) -> bool:
        """Whether to write it. One that is held back is counted, and told by `told` later on."""
        if record.levelno <= logging.DEBUG:
            return True
        kind = _kind(record)
        seen = self._seen.get(kind)
        if seen is None:
            seen = self._seen[kind] = _Seen(self._clock(), record)
        if seen.written < LINES:
            seen.written += 1
            return True
        seen.held_back += 1
        seen.record = record
        return False

    def told(self, *, everything: bool = False) -> Iterator[tuple[logging.LogRecord, int]]:
        """The last line held back of each kind whose time is over, and how many they were.

        `everything` ends all windows at once.
        """
        now = self._clock()
        while self._seen:
            kind, seen = next(iter(self._seen.items()))
            if not everything and now - seen.began < WINDOW and len(self._seen) <= MAX_KINDS:
                return
            del self._seen[kind]
            if seen.held_back:
                yield seen.record, seen.held_back


class FloodHandler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Writes to a stream what a Flood lets pass; `suppressed` on a line counts those it stands for."""

    def __init__(self, stream: Any, flood: Flood | None = None) -> None:
        super().__init__(stream)
        self._flood = Flood() if flood is None else flood

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, and before it what was held back for long enough."""
        self._tell()
        if self._flood.lets_pass(record):
            super().emit(record)

    def close(self) -> None:
        """Tell what is held back still, if there is somebody to tell it; called when the process ends."""
        if not getattr(self.stream, "closed", False):
            self._tell(everything=True)
        super().close()

    def _tell(self, *, everything: bool = False) -> None:
        for record, count in self._flood.told(everything=everything):
            record.suppressed = count
            super().emit(record)


def _kind(record: logging.LogRecord) -> Kind:
    subject = record.args if isinstance(record.args, tuple) else ()
    if record.levelno >= logging.WARNING:
        subject = subject[:1]  # what follows it differs from line to line: seconds, reasons
    told = " ".join(map(str, subject))
    return record.name, record.levelno, str(record.msg)[:_MAX_SUBJECT], told[:_MAX_SUBJECT]
