"""Sleeping until something happens or a time is over, whichever is first."""

from __future__ import annotations

import asyncio


class Wake:
    """`set` ends the sleep under way, or the next one at its start."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Something happened."""
        self._event.set()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, or sooner when `set` is called."""
        # A timer and not wait_for: before Python 3.12 that can swallow a cancellation.
        timer = asyncio.get_running_loop().call_later(seconds, self._event.set)
        try:
            await self._event.wait()
        finally:
            timer.cancel()
            self._event.clear()
