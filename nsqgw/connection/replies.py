"""Who waits for which answer: nsqd answers commands strictly in order, so a queue of futures does."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from nsqgw.errors import NSQError, ProtocolError
from nsqgw.protocol.frames import OK


class Requester(Protocol):
    """Who sends requests that count, and is told of each once, when its fate is known to this side."""

    def confirmed(self, size: int, count: int) -> None:
        """Requests of `size` bytes with `count` messages together were answered as they should be."""

    def lost(self, future: asyncio.Future[None], data: bytes, count: int, error: NSQError) -> None:
        """A request of `count` messages failed; `future` is still to be failed, or the request sent again."""


class Replies:
    """The commands sent and not answered yet, oldest first.

    A request may carry a count of messages; `requester` is then told of its fate, whether or not anybody
    still awaits the future.
    """

    __slots__ = ("answered", "requester", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[tuple[asyncio.Future[None], bytes, bytes, int]] = deque()
        """Future, the answer due, the command, its count. The connection appends here."""
        self.answered = 0
        self.requester: Requester | None = None

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
                future, answer, data, messages = waiting.popleft()
                if answer is not OK:
                    waiting.appendleft((future, answer, data, messages))
                    raise ProtocolError(f"nsqd answered OK where {answer!r} was due")
                size_sum += len(data)
                count_sum += messages
                if not future.done():
                    future.set_result(None)
        except IndexError:
            raise ProtocolError("nsqd answered OK, but no command is waiting") from None
        finally:
            self.answered += count
            if count_sum and self.requester is not None:
                self.requester.confirmed(size_sum, count_sum)

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
            self._fail(self.waiting.popleft(), error)

    def fail_oldest(self, count: int, error: NSQError) -> None:
        """No answer will come to the first `count` commands."""
        for _ in range(min(count, len(self.waiting))):
            self._fail(self.waiting.popleft(), error)

    def fail_all(self, error: NSQError) -> None:
        """No answer will come any more."""
        while self.waiting:
            self._fail(self.waiting.popleft(), error)

    def _fail(self, entry: tuple[asyncio.Future[None], bytes, bytes, int], error: NSQError) -> None:
        future, _, data, count = entry
        if count and self.requester is not None:
            self.requester.lost(future, data, count, error)
        elif not future.done():
            future.set_exception(error)
