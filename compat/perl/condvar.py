"""AnyEvent's condition variable: what a program waits for, in `recv` without a loop, with `await` on one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

from compat.perl.callbacks import call, checked
from compat.perl.loop import event_loop, is_running


class Condvar:
    """Set once, by `send` with values or by `croak` with an error, from any thread; later ones are ignored.

    `recv()` runs the event loop until then, and `await condvar` waits on the loop that runs. Both give None
    for no value, the value for one, a tuple for several, and raise the error of `croak`.
    """

    def __init__(self, cb: Callable[[Condvar], object] | None = None) -> None:
        self._cb = checked("cb", cb)
        self._values: tuple[Any, ...] | None = None
        self._error: BaseException | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._open = 0
        self._group_cb: Callable[[Condvar], object] | None = None

    @property
    def ready(self) -> bool:
        """Whether `send` or `croak` was called."""
        return self._values is not None or self._error is not None

    def send(self, *values: Any) -> None:
        """Let everybody who waits go on, with these values."""
        if not self.ready:
            self._values = values
            self._wake()

    def croak(self, error: BaseException | str) -> None:
        """Let everybody who waits fail: with the error, or with a RuntimeError of this text."""
        if not self.ready:
            self._error = error if isinstance(error, BaseException) else RuntimeError(error)
            self._wake()

    def begin(self, cb: Callable[[Condvar], object] | None = None) -> None:
        """One more is to end; `cb` is called with this condvar at the last `end`, in place of `send`."""
        self._open += 1
        if cb is not None:
            self._group_cb = checked("cb", cb)

    def end(self) -> None:
        """One has ended; with the last of them, `send` is called without values."""
        self._open -= 1
        if self._open == 0:
            if self._group_cb is None:
                self.send()
            else:
                call(self._group_cb, self)

    def cb(self, callback: Callable[[Condvar], object]) -> None:
        """Call `callback` with this condvar when it is ready, at once where it is."""
        self._cb = checked("cb", callback)
        if self.ready:
            call(self._cb, self)

    def recv(self) -> Any:
        """Run the event loop until `send` or `croak`; the outcome.

        On a running loop it gives the outcome that is there, and raises RuntimeError where there is none:
        it would wait for itself.
        """
        if not self.ready:
            if is_running():
                raise RuntimeError("recv would block the event loop that runs already: use `await condvar`")
            event_loop().run_until_complete(self._wait())
        return self._outcome()

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self._wait().__await__()
        return self._outcome()

    async def _wait(self) -> None:
        if not self.ready:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            if not self.ready:  # another thread may just have come
                await future

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.get_loop().call_soon_threadsafe(_release, future)
        if self._cb is not None:
            call(self._cb, self)

    def _outcome(self) -> Any:
        if self._error is not None:
            raise self._error
        values = self._values or ()
        return values if len(values) > 1 else values[0] if values else None


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def condvar(cb: Callable[[Condvar], object] | None = None) -> Condvar:
    """`AE::cv`: a new condition variable; `cb` is called with it when it is ready."""
    return Condvar(cb)
