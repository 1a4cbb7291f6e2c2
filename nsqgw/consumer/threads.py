"""Sync handlers that may block, each call in a thread of a pool.

What a handler does to its message happens on the event loop: the message's origin is exchanged for one
that carries each call over and waits for its outcome, so errors reach the handler as usual.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from nsqgw.consumer.arrival import Arrival, arrival_of
from nsqgw.consumer.handlers import refuse_awaitable
from nsqgw.errors import DeadlineExceeded
from nsqgw.message import Message

_CROSSING_TIMEOUT = 60.0
"""Seconds a handler's thread waits for the event loop; only a loop that is blocked takes that long."""


class ThreadOrigin:
    """The `Origin` of a message in the hands of a thread."""

    __slots__ = ("_loop", "_loop_thread", "arrival")

    def __init__(self, arrival: Arrival, loop: asyncio.AbstractEventLoop) -> None:
        self.arrival = arrival
        self._loop = loop
        self._loop_thread = threading.get_ident()

    @property
    def topic(self) -> str:
        return self.arrival.topic

    @property
    def channel(self) -> str:
        return self.arrival.channel

    @property
    def nsqd_address(self) -> str:
        return self.arrival.nsqd_address

    def finish(self, message: Message) -> bool:
        """Send FIN."""
        return self._on_loop(lambda: self.arrival.finish(message))

    def requeue(self, message: Message, delay: float | None, backoff: bool) -> bool:
        """Send REQ."""
        return self._on_loop(lambda: self.arrival.requeue(message, delay, backoff))

    def touch(self, message: Message) -> bool:
        """Send TOUCH."""
        return self._on_loop(lambda: self.arrival.touch(message))

    def _on_loop(self, call: Callable[[], bool]) -> bool:
        if threading.get_ident() == self._loop_thread:
            return call()
        outcome: concurrent.futures.Future[bool] = concurrent.futures.Future()

        def carry_out() -> None:
            try:
                outcome.set_result(call())
            except Exception as error:  # noqa: BLE001  # it belongs to the handler's thread
                outcome.set_exception(error)

        self._loop.call_soon_threadsafe(carry_out)
        try:
            return outcome.result(_CROSSING_TIMEOUT)
        except concurrent.futures.TimeoutError:
            text = f"the event loop did not take the answer within {_CROSSING_TIMEOUT:g} s: it is blocked"
            raise DeadlineExceeded(text) from None


class HandlerThreads:
    """Makes async handlers of sync ones; `count` calls run at once, and a running one cannot be stopped.

    The threads are daemons, unlike those of concurrent.futures: a handler that hangs must not keep the
    program from ending.
    """

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"nsqgw-handler-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def message_handler(self, handler: Callable[[Message], Any]) -> Callable[[Message], Awaitable[None]]:
        """`handler` in a thread."""

        async def handle(message: Message) -> None:
            await self._call(handler, message, [message])

        return handle

    def batch_handler(
        self, handler: Callable[[Sequence[Message]], Any]
    ) -> Callable[[Sequence[Message]], Awaitable[None]]:
        """`handler` in a thread."""

        async def handle(messages: Sequence[Message]) -> None:
            await self._call(handler, messages, messages)

        return handle

    def close(self) -> None:
        """Start no more calls; those running end by themselves."""
        for _ in self._threads:
            self._calls.put(None)

    async def _call(
        self, handler: Callable[[Any], Any], argument: object, messages: Sequence[Message]
    ) -> None:
        arrival = arrival_of(messages[0])
        origin = ThreadOrigin(arrival, self._loop)
        for message in messages:
            message.origin = origin
        # When this is cancelled the thread goes on, and keeps its way back to the loop.
        refuse_awaitable(await self._in_thread(partial(handler, argument)))
        for message in messages:
            message.origin = arrival

    def _in_thread(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def carry_out() -> None:
            if not outcome.set_running_or_notify_cancel():
                return
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001  # it belongs to whoever awaits the call
                outcome.set_exception(error)

        self._calls.put(carry_out)
        return asyncio.wrap_future(outcome, loop=self._loop)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
