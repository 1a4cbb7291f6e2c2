"""Waiting in tests: in the test's own thread, with a deadline in real seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL = 0.002


def refuse_in_loop(call: str, *arguments: object) -> None:
    """RuntimeError in a thread that runs an event loop: waiting would stop the clients that live in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    listed = "".join(f", {argument!r}" for argument in arguments)
    raise RuntimeError(
        f"{call}() would block this event loop and all clients in it: await asyncio.to_thread({call}{listed})"
    )


def wait_until(probe: Callable[[], T], good: Callable[[T], bool], timeout: float) -> T:
    """The first value of `probe()` that is good, or the last one when `timeout` seconds have passed."""
    deadline = time.monotonic() + timeout
    while not good(value := probe()) and time.monotonic() < deadline:
        time.sleep(INTERVAL)  # between looks at another thread or process; callers have no loop to hold up
    return value
