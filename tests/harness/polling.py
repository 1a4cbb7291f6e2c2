"""Waiting for something to become true: poll with a deadline, never sleep for luck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL = 0.01


def eventually(probe: Callable[[], T], timeout: float = 15.0, what: str = "") -> T:
    """The first true value of `probe()`; AssertionError with the last value after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or probe}; last value {value!r}")
        time.sleep(INTERVAL)
    return value


async def eventually_async(probe: Callable[[], T], timeout: float = 15.0, what: str = "") -> T:
    """The same on an event loop, which goes on meanwhile."""
    deadline = time.monotonic() + timeout
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or probe}; last value {value!r}")
        await asyncio.sleep(INTERVAL)
    return value
