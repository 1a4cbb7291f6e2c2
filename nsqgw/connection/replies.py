"""Who waits for which answer: nsqd answers commands strictly in order, so a queue of futures does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from nsqgw.errors import NSQError, ProtocolError
from nsqgw.protocol.frames import OK

Settled = Callable[[int, int, bool], None]
"""Called as settled(size, count, ok) once per request, when its fate is known to this side."""


class Replies:
    """The commands sent and not answered yet, oldest first.

    A request may carry a size in bytes and a count of messages; `settled` gets them back when the answer
    is there or will never come, whether or not anybody still awaits the future.
    """

    __slots__ = ("answered", "settled", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[tuple[asyncio.Future[None], bytes, int, int]] = deque()
        """Future, the answer due, size, count. The connection appends here."""
        self.answered = 0
        self.settled: Settled | None = None

    @property
    def asked(self) -> int:
        """Commands sent so far."""
        return self.answered + len(self.waiting)

    def confirm(self, count: int) -> None:
        """So many OKs arrived; ProtocolError when they are not due."""
        waiting = self.waiting
        size_sum = count_sum = 0
        try:
            for _ in range(count):
                future, answer, size, messages = waiting.popleft()
                if answer is not OK:
                    waiting.appendleft((future, answer, size, messages))
                    raise ProtocolError(f"nsqd answered OK where {answer!r} was due")
                size_sum += size
                count_sum += messages
                if not future.done():
                    future.set_result(None)
        except IndexError:
            raise ProtocolError("nsqd answered OK, but no command is waiting") from None
        finally:
            self.answered += count
            if count_sum and self.settled is not None:
                self.settled(size_sum, count_sum, True)

    def resolve(self, data: bytes) -> None:
        """Another answer than OK arrived; ProtocolError when it is not the one due."""
        if not self.waiting or self.waiting[0][1] != data:
            raise ProtocolError(f"nsqd answered {data[:40]!r}, but no command is waiting for that")
        future = self.waiting.popleft()[0]
        self.answered += 1
        if not future.done():
            future.set_result(None)

    def reject(self, error: NSQError) -> None:
        """An error arrived in place of the next answer, if one is due."""
        if self.waiting:
            self.answered += 1
            self._fail_next(error)

    def fail_all(self, error: NSQError) -> None:
        """No answer will come any more."""
        while self.waiting:
            self._fail_next(error)

    def _fail_next(self, error: NSQError) -> None:
        future, _, size, count = self.waiting.popleft()
        if count and self.settled is not None:
            self.settled(size, count, False)
        if not future.done():
            future.set_exception(error)
