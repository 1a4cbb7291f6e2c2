"""The pool below async handlers: bounded, and at full width when there is work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from harness.polling import eventually_async
from nsqgw.consumer.workers import WorkerPool


class Work:
    """Counts what runs at once; `open` lets everything through."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.running = self.most = 0
        self.done: list[int] = []

    async def __call__(self, item: int) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.open.wait()
            self.done.append(item)
        finally:
            self.running -= 1


def pool_of(handle: Callable[[int], Awaitable[None]], limit: int) -> WorkerPool[int]:
    """A pool whose items must not fail."""
    return WorkerPool(handle, lambda: limit, lambda item: None, pytest.fail)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
async def test_full_width_and_no_more(limit: int) -> None:
    work = Work()
    pool = pool_of(work, limit)
    pool.put_all(range(500))
    await eventually_async(lambda: work.running == limit)
    work.open.set()
    await eventually_async(lambda: len(work.done) == 500)
    assert work.most == limit
    await pool.close()


@pytest.mark.parametrize("portions", [[1] * 50, [10] * 5, [3, 0, 7, 1, 39]])
async def test_full_width_however_the_work_arrives(portions: list[int]) -> None:
    work = Work()
    pool = pool_of(work, 50)
    for portion in portions:
        pool.put_all(range(portion))
        await asyncio.sleep(0)
    await eventually_async(lambda: work.running == 50)
    await pool.close()


async def test_workers_are_used_again() -> None:
    seen: set[object] = set()

    async def handle(item: int) -> None:
        seen.add(asyncio.current_task())
        await asyncio.sleep(0)

    pool = pool_of(handle, 5)
    for _ in range(20):
        pool.put_all(range(10))
        for _ in range(10):
            await asyncio.sleep(0)
    assert len(seen) <= 5
    await pool.close()


async def test_work_that_never_suspends_is_done_by_one() -> None:
    done: list[int] = []

    async def handle(item: int) -> None:
        done.append(item)

    pool = pool_of(handle, 100)
    pool.put_all(range(1000))
    await eventually_async(lambda: len(done) == 1000)
    assert done == list(range(1000))
    await pool.close()


async def test_what_was_not_begun_can_be_taken_back() -> None:
    work = Work()
    pool = pool_of(work, 2)
    pool.put_all(range(5))
    await eventually_async(lambda: work.running == 2)
    assert pool.take_queued() == [2, 3, 4]
    work.open.set()
    await eventually_async(lambda: work.done == [0, 1])
    await pool.close()


async def test_closing_ends_every_worker() -> None:
    before = asyncio.all_tasks()
    work = Work()
    pool = pool_of(work, 3)
    pool.put_all(range(5))
    await eventually_async(lambda: work.running == 3)
    await pool.close()
    assert work.running == 0
    assert asyncio.all_tasks() <= before
    assert work.done == []


async def test_a_worker_cancelled_in_the_turn_it_was_woken_leaves_nothing_undone() -> None:
    """As by a timer that a handler has left behind: the item it was woken for is another worker's."""
    workers: list[asyncio.Task[None] | None] = []
    handled: list[int] = []

    async def handle(item: int) -> None:
        workers.append(asyncio.current_task())
        handled.append(item)

    pool = pool_of(handle, 1)
    pool.put_all([1])
    await eventually_async(lambda: handled == [1])
    await asyncio.sleep(0)
    pool.put_all([2])
    assert workers[0] is not None
    workers[0].cancel()
    await eventually_async(lambda: handled == [1, 2])
    await pool.close()


async def test_a_worker_that_is_closed_unfinished_fails_nothing() -> None:
    """What the end of the program throws into a coroutine is not what its handler raised."""
    pool = pool_of(Work(), 1)
    pool.put_all([1])
    working = pool._work()
    pool._waking = 1
    working.send(None)
    working.close()
    await pool.close()
