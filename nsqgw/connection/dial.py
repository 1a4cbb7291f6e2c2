"""Connecting sockets: whatever is given up, cancelled or overtaken on the way is closed.

Not by tornado's TCPClient: cancelled, it leaves sockets behind that still connect, and it drops one that
connected in the very turn of the cancellation.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from itertools import chain, zip_longest
from typing import Any

from nsqgw.connection.address import TcpAddress, UnixAddress
from nsqgw.deadline import within

_HEAD_START = 0.25
"""Seconds an address has before the next one is tried beside it (RFC 6555 advises 150 to 250 ms)."""

Candidate = tuple[int, Any]
"""A family of addresses, and an address in it."""


async def dial(where: TcpAddress | UnixAddress, timeout: float) -> socket.socket:
    """A connected socket; asyncio.TimeoutError after `timeout` seconds, or an OSError.

    A name that no resolver takes, such as `a..b`, raises UnicodeError.
    """
    made: list[socket.socket] = []

    async def connecting() -> None:
        made.append(await _first_to_connect(await _candidates(where)))

    try:
        await within(timeout, connecting())
    except BaseException:
        for late in made:  # connected in the turn in which it was given up
            late.close()
        raise
    return made[0]


async def _candidates(where: TcpAddress | UnixAddress) -> list[Candidate]:
    """What the address may mean, its families in turn."""
    if isinstance(where, UnixAddress):
        return [(socket.AF_UNIX, where.path)]
    look_up = asyncio.get_running_loop().getaddrinfo
    found = [(entry[0], entry[4]) for entry in await look_up(where.host, where.port, type=socket.SOCK_STREAM)]
    preferred = [candidate for candidate in found if candidate[0] == found[0][0]]
    others = [candidate for candidate in found if candidate[0] != found[0][0]]
    return [candidate for candidate in chain(*zip_longest(preferred, others)) if candidate is not None]


async def _first_to_connect(candidates: list[Candidate]) -> socket.socket:
    """Each is tried when the one before has failed or takes long; if all fail, the error of the first."""
    waiting = deque(candidates)
    trying: set[asyncio.Task[socket.socket]] = set()
    failures: list[BaseException] = []
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.ensure_future(_connected(waiting.popleft())))
            pause = _HEAD_START if waiting else None
            done, _ = await asyncio.wait(trying, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is None:
                    trying.discard(task)
                    return task.result()
                trying.discard(task)
                failures.append(error)
        raise failures[0]
    finally:
        await _give_up(trying)


async def _connected(candidate: Candidate) -> socket.socket:
    family, address = candidate
    own = socket.socket(family, socket.SOCK_STREAM)
    try:
        own.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(own, address)
        except OSError as error:
            if error.errno is None:
                raise
            # asyncio's text is the address in place of the reason.
            raise OSError(error.errno, os.strerror(error.errno)) from error
        if family != socket.AF_UNIX:
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        own.close()
        raise
    return own


async def _give_up(tries: set[asyncio.Task[socket.socket]]) -> None:
    for task in tries:
        task.cancel()
    for outcome in await asyncio.gather(*tries, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()
