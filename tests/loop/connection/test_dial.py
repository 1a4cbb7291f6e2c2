"""Connecting: the first address that answers is taken; no socket is left behind, given up or cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from nsqgw.connection.address import TcpAddress
from nsqgw.connection.dial import dial


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """No socket is left for the collector to close."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(each.message) for each in caught] == []


@contextlib.contextmanager
def deaf(host: str = "127.0.0.1") -> Iterator[TcpAddress]:
    """A listener whose backlog is full lets the connection hang."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind((host, 0))
        listener.listen(0)
        for _ in range(3):
            filler = open_sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield TcpAddress(*listener.getsockname())


async def test_giving_up_leaves_no_socket() -> None:
    with deaf() as where, pytest.raises(asyncio.TimeoutError):
        await dial(where, 0.1)


async def test_cancelled_at_any_turn_it_leaves_no_socket() -> None:
    """The turn in which the connection is made is among them."""
    made = 0
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        where = TcpAddress(*listener.getsockname())
        for turns in range(100):
            dialling = asyncio.ensure_future(dial(where, 5.0))
            for _ in range(turns):
                await asyncio.sleep(0)
            dialling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                (await dialling).close()
                made += 1
    assert 0 < made < 100


def resolve_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    def look_up(name: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


async def test_an_address_that_does_not_answer_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with deaf("127.0.0.2") as where, socket.create_server(("127.0.0.3", where.port)):
        resolve_to(monkeypatch, "127.0.0.2", "127.0.0.3")
        with await dial(TcpAddress("two.example", where.port), 15.0) as connected:
            assert connected.getpeername()[0] == "127.0.0.3"


async def test_an_address_that_refuses_makes_room_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.3", 0)) as listener:
        port = listener.getsockname()[1]
        resolve_to(monkeypatch, "127.0.0.2", "127.0.0.3")
        with await dial(TcpAddress("two.example", port), 15.0) as connected:
            assert connected.getpeername()[0] == "127.0.0.3"


async def test_if_all_refuse_the_first_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "127.0.0.2", "127.0.0.3")
    with pytest.raises(ConnectionRefusedError, match="Connection refused"):
        await dial(TcpAddress("two.example", 1), 15.0)
