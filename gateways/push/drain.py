"""Sending browsers off, one after the other, so that whoever takes them in next does not get all at once.

Each is told when its turn comes, and closed then; it may leave by itself at that moment and miss nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import random

from gateways.push.context import Connection, Context

BROWSERS_A_SECOND = 1000
"""Fewer than that need no spreading; more take longer, as far as there is time."""
_PAUSE = 0.1
_TOLD_IN_A_ROW = 256


async def send_off(context: Context, longest: float) -> None:
    """End all connections within `longest` seconds; new ones must not come any more."""
    connections = list(context.connections)
    random.shuffle(connections)
    spread = min(longest, len(connections) / BROWSERS_A_SECOND)
    for number, connection in enumerate(connections):
        connection.leave_in(spread * number / len(connections))
        if number % _TOLD_IN_A_ROW == _TOLD_IN_A_ROW - 1:
            await asyncio.sleep(0)
    for turn in slices(connections, max(1, round(spread / _PAUSE))):
        for connection in turn:
            connection.end()
        await asyncio.sleep(_PAUSE if spread > _PAUSE else 0)


def slices(connections: list[Connection], count: int) -> list[list[Connection]]:
    """`count` parts in order, of equal sizes, but for one."""
    edges = [len(connections) * number // count for number in range(count + 1)]
    return [connections[start:end] for start, end in itertools.pairwise(edges)]
