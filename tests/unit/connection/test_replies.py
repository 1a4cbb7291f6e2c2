"""Answers in order: each to its own command, none invented, none lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from nsqgw.connection.replies import Replies, Waiter, tell
from nsqgw.errors import BadMessage, ConnectionClosed, NSQError, ProtocolError, Unprocessed
from nsqgw.protocol.frames import CLOSE_WAIT, OK


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


class Asked:
    """Replies with a few commands under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *answers: bytes) -> None:
        self.replies = Replies()
        self.replies.requester = self
        self.settled: list[tuple[int, int, bool]] = []
        self.futures = [loop.create_future() for _ in answers]
        for number, (future, answer) in enumerate(zip(self.futures, answers, strict=True)):
            self.replies.waiting.append((future, answer, bytes(10 * number), 1 if answer is OK else 0))

    def confirmed(self, size: int, count: int) -> None:
        self.settled.append((size, count, True))

    def lost(self, waiter: Waiter, data: bytes, count: int, error: NSQError) -> None:
        self.settled.append((len(data), count, False))
        tell(waiter, error)


def test_oks_go_to_the_oldest(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop, OK, OK, OK)
    asked.replies.confirm(2)
    assert [future.done() for future in asked.futures] == [True, True, False]
    assert asked.settled == [(10, 2, True)]
    assert (asked.replies.answered, asked.replies.asked) == (2, 3)


def test_an_error_goes_to_the_oldest_and_the_end_to_the_rest(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop, OK, OK, OK)
    refused, gone = BadMessage("PUB"), ConnectionClosed("gone")
    asked.replies.reject(refused)
    asked.replies.fail_all(gone)
    assert [future.exception() for future in asked.futures] == [refused, gone, gone]
    assert asked.settled == [(0, 1, False), (10, 1, False), (20, 1, False)]


def test_cancelled_futures_keep_their_place(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop, OK, OK, OK)
    asked.futures[0].cancel()
    asked.futures[2].cancel()
    asked.replies.confirm(1)
    assert not asked.futures[1].done()
    asked.replies.confirm(1)
    assert asked.futures[1].done()
    asked.replies.fail_all(ConnectionClosed("gone"))
    assert sum(count for _, count, ok in asked.settled if ok) == 2
    assert sum(count for _, count, ok in asked.settled if not ok) == 1


def test_more_oks_than_commands(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop, OK)
    with pytest.raises(ProtocolError, match="no command is waiting"):
        asked.replies.confirm(2)
    assert asked.futures[0].done()
    assert asked.settled == [(0, 1, True)]


def test_ok_where_something_else_is_due(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop, OK, CLOSE_WAIT, OK)
    with pytest.raises(ProtocolError, match="OK where b'CLOSE_WAIT' was due"):
        asked.replies.confirm(3)
    assert [future.done() for future in asked.futures] == [True, False, False]
    asked.replies.fail_all(ConnectionClosed("gone"))
    assert isinstance(asked.futures[1].exception(), ConnectionClosed)
    assert isinstance(asked.futures[2].exception(), ConnectionClosed)


def test_the_right_other_answer(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop, CLOSE_WAIT, OK)
    asked.replies.resolve(CLOSE_WAIT)
    asked.replies.confirm(1)
    assert all(future.done() for future in asked.futures)


@pytest.mark.parametrize("data", [b"CLOSE_WAIT", b"{}", b"surprise" * 100])
def test_other_answers_nobody_asked_for(loop: asyncio.AbstractEventLoop, data: bytes) -> None:
    asked = Asked(loop, OK)
    with pytest.raises(ProtocolError, match="no command is waiting for that") as caught:
        asked.replies.resolve(data)
    assert len(str(caught.value)) < 120
    with pytest.raises(ProtocolError):
        Asked(loop).replies.resolve(data)


def test_an_error_nobody_waits_for(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop)
    asked.replies.reject(BadMessage("PUB"))
    assert asked.replies.answered == 0


def test_what_was_never_sent_is_known_to_be_undone(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop, OK, OK, OK)
    asked.replies.fail_oldest(1, ConnectionClosed("gone"))
    asked.replies.fail_all(Unprocessed("never sent"))
    kinds = [type(future.exception()) for future in asked.futures]
    assert kinds == [ConnectionClosed, Unprocessed, Unprocessed]
    assert asked.settled == [(0, 1, False), (10, 1, False), (20, 1, False)], "told in order"


# -- functions in place of futures


class Told:
    """Publishes of which functions are told, in the order in which they are."""

    def __init__(self, count: int) -> None:
        self.replies = Replies()
        self.replies.requester = self
        self.heard: list[tuple[int, NSQError | None]] = []
        self.room = 0
        for number in range(count):
            self.replies.waiting.append((lambda error, number=number: self.then(number, error), OK, b"x", 1))

    def then(self, number: int, error: NSQError | None) -> None:
        self.heard.append((number, error))

    def confirmed(self, size: int, count: int) -> None:
        self.room += count

    def lost(self, waiter: Waiter, data: bytes, count: int, error: NSQError) -> None:
        tell(waiter, error)


def test_functions_are_told_in_order() -> None:
    told, gone = Told(3), ConnectionClosed("gone")
    told.replies.confirm(2)
    told.replies.fail_all(gone)
    assert told.heard == [(0, None), (1, None), (2, gone)]


def test_there_is_room_before_anybody_is_told() -> None:
    """Whoever publishes more when he is told must find the room that the confirmed ones have left."""
    told = Told(3)
    rooms: list[int] = []
    told.then = lambda number, error: rooms.append(told.room)  # type: ignore[method-assign]
    told.replies.confirm(3)
    assert rooms == [3, 3, 3]


def test_what_is_asked_meanwhile_comes_behind() -> None:
    told = Told(2)

    def then(number: int, error: NSQError | None) -> None:
        told.replies.waiting.append((lambda error: None, OK, b"y", 1))

    told.then = then  # type: ignore[method-assign]
    told.replies.confirm(2)
    assert [entry[2] for entry in told.replies.waiting] == [b"y", b"y"]
    assert (told.replies.answered, told.replies.asked) == (2, 4)


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
async def test_a_function_that_fails_is_reported_and_the_others_are_told(kind: type[BaseException]) -> None:
    reports: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, report: reports.append(report))
    told = Told(3)
    hear = told.then

    def then(number: int, error: NSQError | None) -> None:
        hear(number, error)
        if number != 1:
            raise kind(number)

    told.then = then  # type: ignore[method-assign]
    told.replies.confirm(2)
    told.replies.fail_all(gone := ConnectionClosed("gone"))
    assert told.heard == [(0, None), (1, None), (2, gone)]
    assert [str(report["exception"]) for report in reports] == ["0", "2"]


def test_the_end_of_the_program_comes_when_all_are_told() -> None:
    told = Told(3)
    hear = told.then

    def then(number: int, error: NSQError | None) -> None:
        hear(number, error)
        if number == 0:
            raise KeyboardInterrupt

    told.then = then  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        told.replies.confirm(3)
    assert [number for number, _ in told.heard] == [0, 1, 2]


def test_too_many_oks_confirm_what_was_waiting() -> None:
    told = Told(2)
    with pytest.raises(ProtocolError, match="no command is waiting"):
        told.replies.confirm(3)
    assert told.heard == [(0, None), (1, None)]
