"""Where messages wait for `async for` and for batches; bounded by max_in_flight, since nsqd sends no more."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from nsqgw.consumer.arrival import arrival_of
from nsqgw.message import Message


class Inbox:
    """Messages in order of arrival. Readers take them one by one or as they come; each goes to one reader."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._messages)

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Message:
        if self._messages:
            return self._messages.popleft()
        message = await self.get()
        if message is None:
            raise StopAsyncIteration
        return message

    def dispatch(self, messages: list[Message]) -> None:
        """Put messages in."""
        self._messages.extend(messages)
        for _ in range(min(len(messages), len(self._waiting))):
            self._wake_one()

    def take_unhandled(self) -> list[Message]:
        """Take everything out and let the readers know that nothing follows."""
        messages = list(self._messages)
        self._messages.clear()
        self._closed = True
        while self._waiting:
            self._wake_one()
        return messages

    def discard_stale(self) -> None:
        """Forget the messages that nsqd delivers again."""
        fresh = [message for message in self._messages if not arrival_of(message).is_stale]
        self._messages.clear()
        self._messages.extend(fresh)

    def is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        """No: whoever reads is his own master."""
        return False

    async def close(self) -> None:
        """Readers end."""
        self.take_unhandled()

    async def get(self) -> Message | None:
        """The next message; None when no more will come."""
        while not self._messages:
            if self._closed:
                return None
            await self.arrival()
        return self._messages.popleft()

    def take(self, count: int, size: int) -> list[Message]:
        """The next messages, at most `count` of them with at most `size` bytes in their bodies."""
        waiting = self._messages
        if len(waiting) <= count and sum(len(message.body) for message in waiting) <= size:
            everything = list(waiting)
            waiting.clear()
            return everything
        taken: list[Message] = []
        while waiting and len(taken) < count:
            size -= len(waiting[0].body)
            if size < 0:
                break
            taken.append(waiting.popleft())
        return taken

    def peek(self) -> Message | None:
        """The next message, left where it is."""
        return self._messages[0] if self._messages else None

    def put_back(self, messages: list[Message]) -> None:
        """Messages that were taken but not handed on are the next again."""
        self._messages.extendleft(reversed(messages))
        if messages:
            self._wake_one()

    @property
    def closed(self) -> bool:
        """Whether no more messages will come."""
        return self._closed

    async def arrival(self) -> None:
        """Until there may be something to get, or nothing more will come."""
        if self._messages or self._closed:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                # Woken and cancelled in the same turn: the message is somebody else's now.
                self._wake_one()
            elif future in self._waiting:
                self._waiting.remove(future)
            raise

    def _wake_one(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
