"""Batches by count, bytes and age, gathered over all connections of a consumer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import overload

from nsqgw.consumer.inbox import Inbox
from nsqgw.deadline import within
from nsqgw.errors import MessageGone
from nsqgw.message import SENT, Message, Sent


class Batch(Sequence[Message]):
    """Messages to be answered together; `size` is the sum of their bodies in bytes.

    Answers skip messages that were answered one by one before. When the connection of some is lost the
    others are answered all the same, and MessageGone then says how many will be delivered again.
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

    def finish(self) -> Sent:
        """Finish all that are unanswered."""
        return self._each(Message.finish)

    def requeue(self, delay: float | None = None, *, backoff: bool = True) -> Sent:
        """Give back all that are unanswered; see `Message.requeue`."""
        return self._each(lambda message: message.requeue(delay, backoff=backoff))

    def touch(self) -> Sent:
        """Ask for more time for all that are unanswered."""
        return self._each(Message.touch)

    def _each(self, answer: Callable[[Message], Sent]) -> Sent:
        gone: list[MessageGone] = []
        for message in self._messages:
            if not message.answered:
                try:
                    answer(message)
                except MessageGone as error:
                    gone.append(error)
        if gone:
            raise MessageGone(f"{len(gone)} of {len(self)} messages will be delivered again: {gone[0]}")
        return SENT


async def gather_batches(
    inbox: Inbox, max_messages: int, max_bytes: int, max_wait: float, must_flush: Callable[[], bool]
) -> AsyncIterator[Batch]:
    """Yield batches until the inbox closes.

    A batch is full at `max_messages` or when the next body would exceed `max_bytes` (a single larger
    one comes alone); it also goes out `max_wait` seconds after its first message, and at once when
    `must_flush` says that no more can arrive.
    """
    while True:
        first = await inbox.get()
        if first is None:
            return
        messages = [first]
        try:
            await _fill(messages, inbox, max_messages, max_bytes, max_wait, must_flush)
        except asyncio.CancelledError:
            inbox.put_back(messages)
            raise
        yield Batch(messages)


async def _fill(
    messages: list[Message],
    inbox: Inbox,
    max_messages: int,
    max_bytes: int,
    max_wait: float,
    must_flush: Callable[[], bool],
) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + max_wait
    room = max_bytes - len(messages[0].body)
    while len(messages) < max_messages:
        message = inbox.peek()
        if message is None:
            wait = deadline - clock()
            if wait <= 0 or inbox.closed or must_flush():
                return
            await _wait_for_arrival(inbox, wait)
        elif len(message.body) > room:
            return
        else:
            inbox.get_nowait()
            messages.append(message)
            room -= len(message.body)


async def _wait_for_arrival(inbox: Inbox, timeout: float) -> None:
    # A timer cannot lose a message here: waiting takes nothing out of the inbox.
    with contextlib.suppress(asyncio.TimeoutError):
        await within(timeout, inbox.arrival())
