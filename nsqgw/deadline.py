"""A deadline for anything awaited, which never swallows a cancellation.

`asyncio.wait_for` does before Python 3.12: cancelled in the very turn in which what it waits for is done, it
returns the result, and the task goes on as if nobody had cancelled it. Whoever awaits its end waits for ever.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

if sys.version_info >= (3, 11):

    async def within(seconds: float | None, step: Awaitable[T]) -> T:
        """The result of `step`, or asyncio.TimeoutError after `seconds`; None waits for ever."""
        async with asyncio.timeout(seconds):
            return await step

else:

    async def within(seconds: float | None, step: Awaitable[T]) -> T:
        """The result of `step`, or asyncio.TimeoutError after `seconds`; None waits for ever."""
        if seconds is None:
            return await step
        # A task of its own: cancelling ourselves could not be told from being cancelled by our owner.
        inner = asyncio.ensure_future(step)
        try:
            await asyncio.wait({inner}, timeout=seconds)
            expired = not inner.done()
        except asyncio.CancelledError:
            inner.cancel()
            await asyncio.wait({inner})
            raise
        if expired:
            inner.cancel()
            await asyncio.wait({inner})
            try:
                return inner.result()
            except asyncio.CancelledError:  # a gathering future holds it as an exception
                raise asyncio.TimeoutError from None
        return inner.result()
