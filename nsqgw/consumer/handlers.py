"""Handlers: which kinds there are, how they are told apart, and what is put around them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from nsqgw.deadline import within
from nsqgw.errors import ConfigError, DeadlineExceeded
from nsqgw.message import Answer, Message

T = TypeVar("T")

Handler = Callable[[Message], Any]
"""Sync or async; what it returns does not matter, unless it is work for somebody else to await."""

BatchHandler = Callable[[Sequence[Message]], Any]
"""The same for all messages of a read at once."""


def is_async(handler: Callable[..., Any]) -> bool:
    """Whether calling `handler`, a function or an object with `__call__`, gives something to await."""
    call = handler if inspect.isroutine(handler) else type(handler).__call__
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)


def check_handler(name: str, handler: object, *, in_threads: bool, timeout: float | None) -> None:
    """ConfigError when `handler` cannot be called, or not in the way that is asked for."""
    if handler is None:
        return
    if not callable(handler):
        raise ConfigError(f"{name} = {handler!r} cannot be called")
    if in_threads and is_async(handler):
        raise ConfigError(f"{name} = {handler!r} is async: leave out threads, it needs none")
    if timeout is not None and not in_threads and not is_async(handler):
        raise ConfigError(
            f"handler_timeout = {timeout!r} cannot stop a sync handler: make {name} async, or set threads"
        )


def refuse_awaitable(result: object) -> None:
    """TypeError when a handler that counts as sync returned work nobody will do: finishing would lose it."""
    if inspect.isawaitable(result) and not isinstance(result, Answer):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(
            "the handler returned an awaitable; make it an 'async def' function to have it awaited"
        )


def with_timeout(handler: Callable[[T], Awaitable[object]], seconds: float) -> Callable[[T], Awaitable[None]]:
    """The handler, cancelled after so many seconds; then it has failed with DeadlineExceeded."""

    async def handle(argument: T) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        try:
            await within(seconds, handler(argument))
        except asyncio.TimeoutError as error:
            if clock() < end:
                raise  # the handler's own
            raise DeadlineExceeded(f"the handler ran longer than handler_timeout = {seconds:g} s") from error

    return handle
