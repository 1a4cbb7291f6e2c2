"""From messages to handlers, and from what handlers do to answers.

One rule for all kinds of handlers: returning finishes the message, raising gives it back with
backoff, and a handler that has answered by itself has the last word. All messages of one call
come from one read, so their answers are sent together.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from nsqgw.consumer.arrival import Arrival
from nsqgw.consumer.inbox import Inbox
from nsqgw.consumer.workers import WorkerPool
from nsqgw.message import SENT, Message

Handler = Callable[[Message], Any]
"""Sync or async; what it returns does not matter, unless it is work for somebody else to await."""

BatchHandler = Callable[[Sequence[Message]], Any]
"""The same for all messages of a read at once."""

FAILURES = (Exception, asyncio.CancelledError)
"""What gives a sync handler's messages back; CancelledError is there the result of some cancelled task."""

ReportFailure = Callable[[BaseException, Sequence[Message]], None]


class Dispatch(Protocol):
    """One way to hand messages over."""

    def dispatch(self, messages: list[Message]) -> None:
        """Hand over the messages of one read."""

    def take_unhandled(self) -> list[Message]:
        """The messages no handler has seen yet; they will not be handed over."""

    async def close(self) -> None:
        """End what still runs."""


def dispatch_for(
    handler: Handler | None,
    batch_handler: BatchHandler | None,
    concurrency: Callable[[], int],
    report: ReportFailure,
) -> Dispatch:
    """The dispatch that suits the handler: by message or batch, sync or async; an inbox without any."""
    if batch_handler is not None:
        return BatchDispatch(batch_handler, concurrency, report)
    if handler is None:
        return Inbox()
    if is_async(handler):
        return AsyncDispatch(handler, concurrency, report)
    return SyncDispatch(handler, report)


def is_async(handler: Callable[..., Any]) -> bool:
    """Whether calling `handler`, a function or an object with `__call__`, gives something to await."""
    call = handler if inspect.isroutine(handler) else type(handler).__call__
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)


class SyncDispatch:
    """Calls the handler right where the messages were read: fastest, for handlers that never block."""

    def __init__(self, handler: Handler, report: ReportFailure) -> None:
        self._handler = handler
        self._report = report

    def dispatch(self, messages: list[Message]) -> None:
        handler = self._handler
        finished: list[bytes] = []
        try:
            for message in messages:
                try:
                    result = handler(message)
                    if result is not None:
                        refuse_awaitable(result)
                except FAILURES as error:
                    give_back([message], error, self._report)
                else:
                    if not message.answered:
                        message.answered = True
                        finished.append(message.id)
        finally:
            if finished:
                arrival_of(messages[0]).finished(finished)

    def take_unhandled(self) -> list[Message]:
        return []

    async def close(self) -> None:
        return


class AsyncDispatch:
    """Runs an async handler on long-lived workers, at most `concurrency` at once."""

    def __init__(self, handler: Handler, concurrency: Callable[[], int], report: ReportFailure) -> None:
        self._handler = handler
        self._report = report
        self._pool: WorkerPool[Message] = WorkerPool(self._handle, concurrency)

    def dispatch(self, messages: list[Message]) -> None:
        self._pool.put_all(messages)

    def take_unhandled(self) -> list[Message]:
        return self._pool.take_queued()

    async def close(self) -> None:
        await self._pool.close()

    async def _handle(self, message: Message) -> None:
        try:
            await self._handler(message)
        except asyncio.CancelledError as error:
            # Something it waited for was cancelled, or the worker itself is, because the pool closes.
            if self._pool.closing:
                raise
            give_back([message], error, self._report)
        except Exception as error:  # noqa: BLE001  # whatever a handler raises gives the message back
            give_back([message], error, self._report)
        else:
            if not message.answered:
                message.answered = True
                arrival_of(message).finished([message.id])


class BatchDispatch:
    """Hands over all messages of a read in one call, sync or async."""

    def __init__(self, handler: BatchHandler, concurrency: Callable[[], int], report: ReportFailure) -> None:
        self._handler = handler
        self._report = report
        self._pool: WorkerPool[list[Message]] | None = None
        if is_async(handler):
            self._pool = WorkerPool(self._handle_async, concurrency)

    def dispatch(self, messages: list[Message]) -> None:
        if self._pool is not None:
            self._pool.put_all([messages])
            return
        try:
            refuse_awaitable(self._handler(messages))
        except FAILURES as error:
            give_back(messages, error, self._report)
        else:
            finish_rest(messages)

    def take_unhandled(self) -> list[Message]:
        if self._pool is None:
            return []
        return [message for messages in self._pool.take_queued() for message in messages]

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def _handle_async(self, messages: list[Message]) -> None:
        try:
            await self._handler(messages)
        except asyncio.CancelledError as error:
            if self._pool is None or self._pool.closing:
                raise
            give_back(messages, error, self._report)
        except Exception as error:  # noqa: BLE001  # whatever a handler raises gives the messages back
            give_back(messages, error, self._report)
        else:
            finish_rest(messages)


def refuse_awaitable(result: object) -> None:
    """TypeError when a handler that counts as sync returned work nobody will do: finishing would lose it."""
    if inspect.isawaitable(result) and result is not SENT:
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(
            "the handler returned an awaitable; make it an 'async def' function to have it awaited"
        )


def arrival_of(message: Message) -> Arrival:
    """The read a message came in; a consumer's messages have no other origin."""
    arrival = message.origin
    assert isinstance(arrival, Arrival)
    return arrival


def finish_rest(messages: Sequence[Message]) -> None:
    """Finish the messages of one read that the handler has not answered."""
    ids: list[bytes] = []
    for message in messages:
        if not message.answered:
            message.answered = True
            ids.append(message.id)
    if ids:
        arrival_of(messages[0]).finished(ids)


def give_back(messages: Sequence[Message], error: BaseException, report: ReportFailure) -> None:
    """Requeue what the failed handler has not answered; messages of a lost connection come by themselves."""
    report(error, messages)
    for message in messages:
        if not message.answered and not arrival_of(message).subscription.closed:
            message.requeue()
