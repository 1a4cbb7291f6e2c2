"""Who waits for which answer: nsqd answers commands strictly in order, so a queue does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Protocol, TypeAlias

from nsqgw.errors import NSQError, ProtocolError
from nsqgw.protocol.frames import OK

Then: TypeAlias = Callable[[NSQError | None], object]
"""Called once, with None when all went well, else with what went wrong."""

Waiter: TypeAlias = "asyncio.Future[None] | Then"
"""Who is told of an answer. A function costs a third of a future, whose callbacks take turns of the loop."""

_ENDING = (SystemExit, KeyboardInterrupt)


class Requester(Protocol):
    """Who sends requests that count, and is told of each once, when its fate is known to this side."""

    def confirmed(self, size: int, count: int) -> None:
        """Requests of `size` bytes with `count` messages together were answered as they should be."""

    def lost(self, waiter: Waiter, data: bytes, count: int, error: NSQError) -> None:
        """A request of `count` messages failed; `waiter` is still to be told, or the request sent again."""


class Replies:
    """The commands sent and not answered yet, oldest first.

    A request may carry a count of messages; `requester` is then told of its fate, whether or not anybody
    still waits.
    """

    __slots__ = ("answered", "requester", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[tuple[Waiter, bytes, bytes, int]] = deque()
        """Who waits, the answer due, the command, its count. The connection appends here."""
        self.answered = 0
        self.requester: Requester | None = None

    @property
    def asked(self) -> int:
        """Commands sent so far."""
        return self.answered + len(self.waiting)

    def confirm(self, count: int) -> None:
        """So many OKs arrived; ProtocolError when they are not due."""
        waiting = self.waiting
        due = [waiting.popleft() for _ in range(min(count, len(waiting)))]
        if len(due) == count and (columns := tuple(zip(*due, strict=True)))[1].count(OK) == count:
            self._confirmed(*columns)
            return
        right = list(takewhile(lambda entry: entry[1] == OK, due))
        waiting.extendleft(reversed(due[len(right) :]))
        if right:
            self._confirmed(*zip(*right, strict=True))
        if waiting:
            raise ProtocolError(f"nsqd answered OK where {waiting[0][1]!r} was due")
        raise ProtocolError("nsqd answered OK, but no command is waiting")

    def _confirmed(
        self,
        waiters: tuple[Waiter, ...],
        answers: tuple[bytes, ...],
        commands: tuple[bytes, ...],
        counts: tuple[int, ...],
    ) -> None:
        self.answered += len(waiters)
        # Before the waiters are told: they publish more, and find the room that these have left.
        if self.requester is not None and (messages := sum(counts)):
            self.requester.confirmed(sum(map(len, commands)), messages)
        _tell_all(waiters)

    def resolve(self, data: bytes) -> None:
        """Another answer than OK arrived; ProtocolError when it is not the one due."""
        if not self.waiting or self.waiting[0][1] != data:
            raise ProtocolError(f"nsqd answered {data[:40]!r}, but no command is waiting for that")
        waiter = self.waiting.popleft()[0]
        self.answered += 1
        tell(waiter, None)

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

    def _fail(self, entry: tuple[Waiter, bytes, bytes, int], error: NSQError) -> None:
        waiter, _, data, count = entry
        if count and self.requester is not None:
            self.requester.lost(waiter, data, count, error)
        else:
            tell(waiter, error)


def tell(waiter: Waiter, error: NSQError | None) -> None:
    """What became of it. A future that was cancelled is left alone."""
    if not isinstance(waiter, asyncio.Future):
        try:
            waiter(error)
        except _ENDING:
            raise
        except BaseException as mistake:  # noqa: BLE001 - as for any callback of the loop
            _report(mistake)
    elif not waiter.done():
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


def _tell_all(waiters: Iterable[Waiter]) -> None:
    """That all went well, to each of them, though one may fail, or end the program."""
    untold = iter(waiters)
    ending: BaseException | None = None
    while True:
        try:
            for waiter in untold:  # for each publish: what `tell` does, without the call
                if not isinstance(waiter, asyncio.Future):
                    waiter(None)
                elif not waiter.done():
                    waiter.set_result(None)
            break
        except _ENDING as error:
            ending = ending or error
        except BaseException as mistake:  # noqa: BLE001 - as for any callback of the loop
            _report(mistake)
    if ending is not None:
        raise ending


def _report(mistake: BaseException) -> None:
    text = "a function that was told of a publish failed"
    asyncio.get_running_loop().call_exception_handler({"message": text, "exception": mistake})
