"""What systemd is told of a service (sd_notify(3)): ready, reloading, stopping, and that it is alive.

Datagrams to the socket that $NOTIFY_SOCKET names; without that variable nothing happens. The loop itself
sends the signs of life: one that hangs is found by systemd's watchdog (WatchdogSec=).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

_MAX_STATUS = 200


class Supervisor:
    """The connection to systemd; `ready`, `reloading` and `stopping` say what has begun."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._task: asyncio.Task[None] | None = None

    def ready(self, trouble: Callable[[], str | None]) -> None:
        """The service runs. `trouble` says why it does not do its work, for systemctl's status line."""
        self._tell("READY=1")
        interval = _watchdog_interval()
        if self._address and interval is not None:
            self._task = asyncio.create_task(self._live(interval, trouble))

    def reloading(self) -> None:
        """Settings are read again; `reloaded` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """The service runs with the settings it has now."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """The service drains."""
        self._tell("STOPPING=1")

    async def close(self) -> None:
        """End the signs of life."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _live(self, interval: float, trouble: Callable[[], str | None]) -> None:
        while True:
            status = " ".join((trouble() or "working").split())[:_MAX_STATUS]
            self._tell("WATCHDOG=1", f"STATUS={status}")
            await asyncio.sleep(interval)

    def _tell(self, *lines: str) -> None:
        """Send at once or not at all: systemd's socket takes it, or the machine has other troubles."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            logger.warning("systemd could not be told %s: %s", lines[0], error)


def _watchdog_interval() -> float | None:
    """Half of what systemd waits for a sign of life, in seconds; None when it waits for none of ours."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 2e6
