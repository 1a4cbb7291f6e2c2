"""Keeping one address connected: connect, serve, wait, again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from nsqgw.config import ConnectionConfig
from nsqgw.connection.connection import Connection, connect
from nsqgw.connection.reconnect import ReconnectDelay
from nsqgw.errors import NSQError
from nsqgw.instrument import ConnectFailed, OnFact

logger = logging.getLogger(__name__)


async def keep_connected(
    address: str,
    config: ConnectionConfig,
    delay: ReconnectDelay,
    serve: Callable[[Connection], Awaitable[None]],
    on_fact: OnFact,
    wanted: Callable[[], bool],
) -> None:
    """Until cancelled, or until `wanted` says after a failure that the address is of no interest any more.

    `serve` runs while the connection lives; it reports its end itself and calls `delay.reset` once
    the connection proved useful.
    """
    while True:
        try:
            connection = await connect(address, config)
        except NSQError as error:
            pause = delay.next()
            on_fact(ConnectFailed(address, error, pause))
        else:
            try:
                await serve(connection)
            except Exception:  # a mistake of ours or of a handler must not end the address for good
                logger.exception("serving %s failed", address)
            finally:
                connection.close()
            pause = delay.next()
        if not wanted():
            return
        await asyncio.sleep(pause)
