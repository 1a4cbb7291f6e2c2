"""A listening port: no connection is lost at its end, and what the system is short of is waited for.

asyncio's own server forgets a connection that is closed within the rounds it takes to accept it, and leaves
its socket open. Where no more files can be open asyncio and tornado fill the log with tracebacks.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

logger = logging.getLogger(__name__)

AT_A_TIME = 100
"""Connections accepted in one turn of the loop; others have their turn in between."""

PAUSE = 1.0
"""Seconds until the next try when the system gives no connection, as with too many open files."""


Begin = Callable[[socket.socket, Any], Coroutine[Any, Any, None]]
"""Takes over a connection with its peer's address."""


def with_protocol(protocol: Callable[[], asyncio.BaseProtocol]) -> Begin:
    """Give connections to protocols; each is begun when `connection_made` was called."""

    async def begin(connection: socket.socket, _: Any) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(protocol, connection)

    return begin


class Acceptor:
    """Accepts on listening, non-blocking `sockets`, which it closes at the end."""

    def __init__(self, sockets: Iterable[socket.socket], begin: Begin) -> None:
        self._loop = asyncio.get_running_loop()
        self._begin = begin
        self._sockets = list(sockets)
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._beginning: set[asyncio.Task[None]] = set()
        for each in self._sockets:
            self._loop.add_reader(each, self._accept, each)

    async def stop(self) -> None:
        """Close the sockets; when it returns, all connections that were accepted are begun."""
        for each in self._sockets:
            self._loop.remove_reader(each)
            each.close()
        self._sockets.clear()
        for pause in self._pauses.values():
            pause.cancel()
        await asyncio.gather(*self._beginning)

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(AT_A_TIME):
            try:
                connection, address = sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.warning("no connections are accepted for %g s: %s", PAUSE, error.strerror)
                self._loop.remove_reader(sock)
                self._pauses[sock] = self._loop.call_later(PAUSE, self._resume, sock)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._begin(connection, address))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    def _resume(self, sock: socket.socket) -> None:
        self._loop.add_reader(sock, self._accept, sock)
