"""Batches by count, bytes and age, gathered over all connections of a consumer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import overload

from nsqgw.consumer.arrival import finish_all
from nsqgw.consumer.inbox import Inbox
from nsqgw.deadline import within
from nsqgw.message import GONE, SENT, Answer, Message


class Batch(Sequence[Message]):
    """Messages to be answered together; `size` is the sum of their bodies in bytes.

    Answers skip messages that were answered one by one before. The result is false when the connection
    of some is lost; the others are answered all the same.
    """

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages
        self.size = sum(len(message.body) for message in messages)

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        return self._messages[index]

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def finish(self) -> Answer:
        """Finish all that are unanswered."""
        unanswered = [message for message in self._messages if not message.answered]
        return SENT if finish_all(unanswered) == len(unanswered) else GONE

    def requeue(self, delay: float | None = None, *, backoff: bool = True) -> Answer:
        """Give back all that are unanswered; see `Message.requeue`."""
        return self._each(lambda message: message.requeue(delay, backoff=backoff))

    def touch(self) -> Answer:
        """Ask for more time for all that are unanswered."""
        return self._each(Message.touch)

    def _each(self, answer: Callable[[Message], Answer]) -> Answer:
        sent = [bool(answer(message)) for message in self._messages if not message.answered]
        return SENT if all(sent) else GONE


class Batches(AsyncIterator[Batch]):
    """Batches from an inbox, until it closes; a reader that is cancelled may come back for the next one.

    A batch is full at `max_messages` or when the next body would exceed `max_bytes` (a single larger
    one comes alone); it also goes out `max_wait` seconds after its first message, and at once when
    `must_flush` says that no more can arrive.
    """

    def __init__(
        self, inbox: Inbox, max_messages: int, max_bytes: int, max_wait: float, must_flush: Callable[[], bool]
    ) -> None:
        self._inbox = inbox
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._max_wait = max_wait
        self._must_flush = must_flush

    async def __anext__(self) -> Batch:
        first = await self._inbox.get()
        if first is None:
            raise StopAsyncIteration
        messages = [first]
        try:
            await self._fill(messages)
        except asyncio.CancelledError:
            self._inbox.put_back(messages)
            raise
        return Batch(messages)

    async def _fill(self, messages: list[Message]) -> None:
        inbox, clock = self._inbox, asyncio.get_running_loop().time
        deadline = clock() + self._max_wait
        room = self._max_bytes - len(messages[0].body)
        while True:
            taken = inbox.take(self._max_messages - len(messages), room)
            messages += taken
            room -= sum(len(message.body) for message in taken)
            if len(messages) >= self._max_messages or inbox.peek() is not None:
                return
            wait = deadline - clock()
            if wait <= 0 or inbox.closed or self._must_flush():
                return
            # A timer cannot lose a message here: waiting takes nothing out of the inbox.
            with contextlib.suppress(asyncio.TimeoutError):
                await within(wait, inbox.arrival())
