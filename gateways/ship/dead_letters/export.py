"""Letters copied to a file, for other tools and for keeping; where they are, they stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import IO

import orjson

from gateways.ship.dead_letters.envelope import Letter
from gateways.ship.dead_letters.source import Source


async def export(
    source: Source, file: IO[bytes], *, wanted: Callable[[Letter], bool], bodies: bool = False, limit: int = 0
) -> tuple[int, int]:
    """Write the wanted letters of an open source, at most `limit` (0 for all), as lines of NDJSON.

    `bodies` writes what was published in their place. How many were written, and how many are no letters.
    """
    written = unreadable = 0
    async with aclosing(source.letters()) as letters:
        async for found in letters:
            await source.left([found])
            if found.letter is None:
                unreadable += 1
            elif wanted(found.letter):
                line = found.letter.body if bodies else orjson.dumps(found.letter.fields)
                await asyncio.to_thread(file.write, line + b"\n")
                written += 1
            if limit and written >= limit:
                break
    await asyncio.to_thread(file.flush)
    return written, unreadable
