"""AnyEvent's timers and signals: `AE::timer` and `AE::signal`. Cancelling stands for `undef $watcher`."""

from __future__ import annotations

import asyncio
import signal as signals
from collections.abc import Callable

from compat.perl.callbacks import call, checked
from compat.perl.loop import event_loop
from nsqgw.errors import ConfigError


class Watcher:
    """What watches until it is cancelled. Unlike Perl's, it goes on when nobody holds it."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel: Callable[[], object] | None = cancel

    def cancel(self) -> None:
        """Call back no more; calling it again does nothing."""
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()


def timer(after: float, interval: float, cb: Callable[[], object]) -> Watcher:
    """Call `cb` after so many seconds, then every `interval` seconds; 0 calls it once."""
    return Watcher(_Timer(after, interval, cb).cancel)


def signal(name: str, cb: Callable[[], object]) -> Watcher:
    """Call `cb` on each signal of this name, such as TERM. One watcher a signal, in the main thread only."""
    try:
        number = signals.Signals[f"SIG{name.removeprefix('SIG')}"]
    except KeyError:
        raise ConfigError(f"signal {name!r} does not exist; TERM and INT do, for example") from None
    loop = event_loop()
    loop.add_signal_handler(number, call, checked("cb", cb))
    return Watcher(lambda: None if loop.is_closed() else loop.remove_signal_handler(number))


class _Timer:
    def __init__(self, after: float, interval: float, cb: Callable[[], object]) -> None:
        self._interval = interval
        self._cb = checked("cb", cb)
        self._loop = event_loop()
        self._next: asyncio.TimerHandle | None = self._loop.call_later(after, self._fire)

    def cancel(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = None
        self._interval = 0.0

    def _fire(self) -> None:
        self._next = None
        call(self._cb)
        if self._interval:
            self._next = self._loop.call_later(self._interval, self._fire)
