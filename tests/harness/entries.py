"""Messages as nsqd would have taken them in, one after the other."""

from __future__ import annotations

from itertools import count

from gateways.push.entry import Entry

_numbers = count(1)


def entries(*bodies: bytes, timestamp: int | None = None) -> list[Entry]:
    """An entry for each body, a microsecond apart, or all of `timestamp`; no two have the same id."""
    made = []
    for body in bodies:
        number = next(_numbers)
        at = 1_700_000_000_000_000_000 + number * 1000 if timestamp is None else timestamp
        made.append(Entry(body, at, b"%016x" % number))
    return made
