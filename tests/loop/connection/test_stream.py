"""Opening a stream: what is given up leaves nothing behind, and deadlines are the loop's."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.polling import eventually_async
from nsqgw.connection.stream import open_socket, open_stream
from nsqgw.errors import ConnectionFailed


class Resolver:
    """A look-up of names that takes as long as the test wants, and then fails."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answer = threading.Event()

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.asked.set()
        self.answer.wait(10)
        raise socket.gaierror(-2, "Name or service not known")


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.answer.set()


async def test_a_cancelled_look_up_leaves_no_error_behind(resolver: Resolver) -> None:
    escaped: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    opening = asyncio.ensure_future(open_stream("nsqd.example:4150", 5.0))
    await eventually_async(resolver.asked.is_set)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    resolver.answer.set()
    await asyncio.get_running_loop().shutdown_default_executor()  # its answer is here then
    await asyncio.sleep(0)
    gc.collect()
    assert escaped == []


async def test_a_look_up_that_hangs_ends_at_the_deadline_whatever_the_wall_clock_does(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = asyncio.ensure_future(open_stream("nsqd.example:4150", 0.3))
    await eventually_async(resolver.asked.is_set)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    with pytest.raises(ConnectionFailed, match=r"nsqd.example:4150: no connection within 0\.3 s"):
        await asyncio.wait_for(opening, 10)
    resolver.answer.set()  # the loop waits for its threads when it ends


async def test_the_system_giving_up_is_not_our_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are a TimeoutError from Python 3.11 on."""

    async def time_out(own: object, address: object) -> None:
        raise OSError(errno.ETIMEDOUT, "connect call failed")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", time_out)
    with pytest.raises(ConnectionFailed, match="Connection timed out"):
        await open_socket("127.0.0.1:4150", 300.0)
