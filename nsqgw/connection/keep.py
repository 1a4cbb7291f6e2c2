"""Keeping one address connected: connect, serve, wait, again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from nsqgw.config import ConnectionConfig
from nsqgw.connection.connection import Connection, connect
from nsqgw.connection.reconnect import ReconnectDelay
from nsqgw.errors import ConnectionFailed, NSQError
from nsqgw.instrument import ConnectFailed, OnFact

logger = logging.getLogger(__name__)


def start_keeping(
    address: str,
    config: ConnectionConfig,
    delay: ReconnectDelay,
    serve: Callable[[Connection], Awaitable[None]],
    on_fact: OnFact,
    wanted: Callable[[], bool],
) -> asyncio.Task[None]:
    """`keep_connected` as a task. Its owner cancels and awaits it; should it fail by a mistake of ours, the
    loop's exception handler is told at once, not when the owner stops."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(keep_connected(address, config, delay, serve, on_fact, wanted))

    def report(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            text = f"the connection to {address} is not kept any more"
            loop.call_exception_handler({"message": text, "exception": error, "task": done})

    task.add_done_callback(report)
    return task


async def keep_connected(
    address: str,
    config: ConnectionConfig,
    delay: ReconnectDelay,
    serve: Callable[[Connection], Awaitable[None]],
    on_fact: OnFact,
    wanted: Callable[[], bool],
) -> None:
    """Until cancelled, or until `wanted` says after a failure that the address is of no interest any more.

    `serve` runs while the connection lives, and reports its end itself. The pauses start over after a
    connection that was of use, or lived longer than the longest of them: one that nsqd ends at once, again
    and again, is not made ten times a second.
    """
    clock = asyncio.get_running_loop().time
    while True:
        try:
            connection = await connect(address, config)
        except NSQError as error:
            pause = delay.next()
            on_fact(ConnectFailed(address, error, pause))
        except Exception as error:  # out of files or threads, or a mistake of ours: the address stays wanted
            pause = delay.next()
            logger.exception("connecting to %s failed", address)
            on_fact(ConnectFailed(address, ConnectionFailed(f"{address}: {error!r}"), pause))
        else:
            born = clock()
            try:
                await serve(connection)
            except Exception:  # a mistake of ours or of a handler must not end the address for good
                logger.exception("serving %s failed", address)
            finally:
                connection.close()
            if connection.was_useful or clock() - born > delay.longest:
                delay.reset()
            del connection  # and its buffers, however long the next one takes
            pause = delay.next()
        if not wanted():
            return
        await asyncio.sleep(pause)
