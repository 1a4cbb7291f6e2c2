"""The clock that tests turn: time-outs, deferrals and heartbeats of a daemon in a thread without sleeping.

It runs as fast as any other, and is ahead of them by what it was turned. The daemon's event loop goes by it
too (`TurnableLoop`), so every timer of the daemon follows.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from compat.testing.waiting import refuse_in_loop, wait_until
from compat.threaded import ThreadedDaemon
from nsqgw.errors import ConfigError

PATIENCE = 2.0
"""Real seconds in which living clients answer the heartbeat that turning the clock brought them."""


class Turnable(Protocol):
    """A daemon that feels the clock being turned; all of it happens on the daemon's own loop."""

    async def leap(self) -> None:
        """The clock was just turned: do what became due, but hold nobody's silence against them yet."""

    async def all_answered(self) -> bool:
        """Whether every client whose time to speak was leapt over has spoken since."""

    async def judge_silence(self) -> None:
        """Cut off those who have not."""


class TurningClock:
    """What the daemon reads. `monotonic` in seconds, `time_ns` in nanoseconds since the epoch."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._frozen: tuple[float, int] | None = None

    def monotonic(self) -> float:
        return (time.monotonic() if self._frozen is None else self._frozen[0]) + self._ahead

    def time_ns(self) -> int:
        now = time.time_ns() if self._frozen is None else self._frozen[1]
        return now + round(self._ahead * 1e9)

    def turn(self, seconds: float) -> None:
        """Put it forward."""
        self._ahead += seconds

    def freeze(self) -> None:
        """Stand still from now on, but for being turned."""
        if self._frozen is None:
            self._frozen = time.monotonic(), time.time_ns()

    def unfreeze(self) -> None:
        """Go on from where it stands."""
        if self._frozen is not None:
            self._ahead -= time.monotonic() - self._frozen[0]
            self._frozen = None


class Clock:
    """The hands of the clock, for the thread of the test: `nsqd.clock`."""

    def __init__(self, daemon: ThreadedDaemon[Any], clock: TurningClock) -> None:
        self._daemon = daemon
        self._clock = clock

    def advance(self, seconds: float, *, patience: float = PATIENCE) -> None:
        """Put the clock forward; returns once everything that became due has been done.

        Messages in flight time out, deferred ones are delivered, each connection gets its heartbeat: all
        of it once, as if the time had passed in one leap. A client that must have answered a heartbeat
        within that time may do so for `patience` seconds of real time; who is silent even then is cut
        off. Raises ConfigError for a negative time, RuntimeError in a running event loop, whose clients could
        not answer.
        """
        if not seconds >= 0:
            raise ConfigError(f"seconds = {seconds!r} must be 0 or more: NSQ's time never runs backwards")
        refuse_in_loop("nsqd.clock.advance", seconds)
        if not self._daemon.running:
            self._clock.turn(seconds)
            return

        async def leap(daemon: Turnable) -> None:
            self._clock.turn(seconds)
            await daemon.leap()

        run = self._daemon.run
        run(leap)
        wait_until(lambda: run(lambda daemon: daemon.all_answered()), bool, patience)
        run(lambda daemon: daemon.judge_silence())

    def freeze(self) -> None:
        """Stop the clock: from now on time passes only in `advance`, however slow the machine is."""
        self._clock.freeze()

    def unfreeze(self) -> None:
        """Let the clock run again, from where it stands."""
        self._clock.unfreeze()


class TurnableLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers go by a `TurningClock`."""

    def __init__(self, clock: TurningClock) -> None:
        self._clock = clock
        super().__init__()

    def time(self) -> float:
        return self._clock.monotonic()
