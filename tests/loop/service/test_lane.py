"""A lane: blocking calls in order, and what is given up before its turn never runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from harness.polling import eventually_async
from nsqgw.service.lane import Lane


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    made = Lane("under test")
    yield made
    made.close()


async def test_calls_run_in_order_and_their_results_come_back(lane: Lane) -> None:
    order: list[int] = []
    calls = [lane.submit(lambda number=number: order.append(number) or number) for number in range(5)]
    assert await asyncio.gather(*calls) == order == [0, 1, 2, 3, 4]


async def test_what_a_call_raises_belongs_to_who_waits_for_it(lane: Lane) -> None:
    def fail() -> None:
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        await lane.submit(fail)
    assert await lane.submit(lambda: "going on") == "going on"


async def test_a_call_given_up_before_its_turn_never_runs_and_one_under_way_does(lane: Lane) -> None:
    running, may_end = threading.Event(), threading.Event()
    ran: list[str] = []

    def block() -> None:
        running.set()
        assert may_end.wait(10)
        ran.append("under way")

    under_way = lane.submit(block)
    waiting = lane.submit(lambda: ran.append("waiting"))
    last = lane.submit(lambda: ran.append("last"))
    await eventually_async(running.is_set)
    assert not lane.give_up(under_way)
    assert lane.give_up(waiting)
    assert not lane.give_up(waiting)
    may_end.set()
    await asyncio.gather(under_way, last)
    assert ran == ["under way", "last"]
    assert waiting.cancelled()


async def test_calls_queued_before_the_close_still_run() -> None:
    lane = Lane("under test")
    call = lane.submit(lambda: threading.current_thread())
    lane.close()
    thread = await call
    await eventually_async(lambda: not thread.is_alive())
