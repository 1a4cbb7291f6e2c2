"""The event loop a command runs on: Python's own, or uvloop where it is installed and asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import click

Runner = Callable[[Coroutine[Any, Any, int]], int]

EVENT_LOOPS = ("asyncio", "uvloop")


def runner(event_loop: str) -> Runner:
    """What runs a program on `event_loop`, one of EVENT_LOOPS; UsageError where it is not installed."""
    if event_loop == "asyncio":
        return asyncio.run
    try:
        import uvloop
    except ImportError:
        raise click.UsageError(
            "--event-loop uvloop: uvloop is not installed: pip install 'nsqgw[uvloop]'"
        ) from None
    return uvloop.run
