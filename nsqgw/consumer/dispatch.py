"""From messages to handlers, and from what handlers do to answers.

One rule for all kinds of handlers: returning finishes the message, raising gives it back with
backoff, and a handler that has answered by itself has the last word. All messages of one call
come from one read, so their answers are sent together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from nsqgw.consumer.arrival import arrival_of
from nsqgw.consumer.failures import Failures
from nsqgw.consumer.handlers import BatchHandler, Handler, is_async, refuse_awaitable
from nsqgw.consumer.inbox import Inbox
from nsqgw.consumer.workers import ENDING, WorkerPool
from nsqgw.message import Message


class Dispatch(Protocol):
    """One way to hand messages over."""

    def dispatch(self, messages: list[Message]) -> None:
        """Hand over the messages of one read."""

    def take_unhandled(self) -> list[Message]:
        """The messages no handler has seen yet; they will not be handed over."""

    def discard_stale(self) -> None:
        """Forget the messages no handler has seen and nsqd delivers again."""

    def is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether a handler runs in this task."""

    async def close(self) -> None:
        """End what still runs."""


def dispatch_for(
    handler: Handler | None,
    batch_handler: BatchHandler | None,
    concurrency: Callable[[], int],
    failures: Failures,
) -> Dispatch:
    """The dispatch that suits the handler: by message or batch, sync or async; an inbox without any."""
    if batch_handler is not None:
        return BatchDispatch(batch_handler, concurrency, failures)
    if handler is None:
        return Inbox()
    if is_async(handler):
        return AsyncDispatch(handler, concurrency, failures)
    return SyncDispatch(handler, failures)


class SyncDispatch:
    """Calls the handler right where the messages were read: fastest, for handlers that never block."""

    def __init__(self, handler: Handler, failures: Failures) -> None:
        self._handler = handler
        self._failures = failures

    def dispatch(self, messages: list[Message]) -> None:
        handler = self._handler
        finished: list[bytes] = []
        try:
            for message in messages:
                try:
                    result = handler(message)
                    if result is not None:
                        refuse_awaitable(result)
                except ENDING:
                    raise
                except BaseException as error:  # noqa: BLE001  # a handler's is no reason to lose a connection
                    self._failures.failed([message], error)
                else:
                    if not message.answered:
                        message.answered = True
                        finished.append(message.id)
        finally:
            if finished:
                arrival_of(messages[0]).finished(finished)

    def take_unhandled(self) -> list[Message]:
        return []

    def discard_stale(self) -> None:
        return

    def is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        return False

    async def close(self) -> None:
        return


class AsyncDispatch:
    """Runs an async handler on long-lived workers, at most `concurrency` at once."""

    def __init__(self, handler: Handler, concurrency: Callable[[], int], failures: Failures) -> None:
        self._failures = failures
        self._pool: WorkerPool[Message] = WorkerPool(handler, concurrency, finish, self._failed)

    def dispatch(self, messages: list[Message]) -> None:
        self._pool.put_all(messages)

    def take_unhandled(self) -> list[Message]:
        return self._pool.take_queued()

    def discard_stale(self) -> None:
        self._pool.discard(lambda message: arrival_of(message).is_stale)

    def is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        return self._pool.is_run_by(task)

    async def close(self) -> None:
        await self._pool.close()

    def _failed(self, message: Message, error: BaseException) -> None:
        self._failures.failed([message], error)


class BatchDispatch:
    """Hands over all messages of a read in one call, sync or async."""

    def __init__(self, handler: BatchHandler, concurrency: Callable[[], int], failures: Failures) -> None:
        self._handler = handler
        self._failures = failures
        self._pool: WorkerPool[Sequence[Message]] | None = None
        if is_async(handler):
            self._pool = WorkerPool(handler, concurrency, finish_rest, failures.failed)

    def dispatch(self, messages: list[Message]) -> None:
        if self._pool is not None:
            self._pool.put_all([tuple(messages)])
            return
        try:
            refuse_awaitable(self._handler(tuple(messages)))
        except ENDING:
            raise
        except BaseException as error:  # noqa: BLE001  # a handler's is no reason to lose a connection
            self._failures.failed(messages, error)
        else:
            finish_rest(messages)

    def take_unhandled(self) -> list[Message]:
        if self._pool is None:
            return []
        return [message for messages in self._pool.take_queued() for message in messages]

    def discard_stale(self) -> None:
        if self._pool is not None:
            self._pool.discard(lambda messages: arrival_of(messages[0]).is_stale)

    def is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        return self._pool is not None and self._pool.is_run_by(task)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()


def finish(message: Message) -> None:
    """Finish a message that the handler has not answered."""
    if not message.answered:
        message.answered = True
        arrival_of(message).finished([message.id])


def finish_rest(messages: Sequence[Message]) -> None:
    """Finish the messages of one read that the handler has not answered."""
    ids: list[bytes] = []
    for message in messages:
        if not message.answered:
            message.answered = True
            ids.append(message.id)
    if ids:
        arrival_of(messages[0]).finished(ids)
