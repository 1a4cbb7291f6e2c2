"""The event loop that is there without being asked for, as AnyEvent's is.

Inside a running asyncio loop it is that one. A program without one gets a loop of its own for each thread; it
runs while somebody waits in `recv`, and what is left on it is ended when the program ends.
"""

from __future__ import annotations

import asyncio
import atexit
import threading

_END_TIMEOUT = 5.0

_own = threading.local()


def event_loop() -> asyncio.AbstractEventLoop:
    """The running loop, or this thread's own."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return _own_loop()


def is_running() -> bool:
    """Whether the caller is on a running loop, and must not block."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _own_loop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop | None = getattr(_own, "loop", None)
    if loop is None or loop.is_closed():
        loop = _own.loop = asyncio.new_event_loop()
        atexit.register(_end, loop)
    return loop


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Close the connections that the program left open."""
    if loop.is_closed() or loop.is_running():
        return
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=_END_TIMEOUT))
    loop.close()
