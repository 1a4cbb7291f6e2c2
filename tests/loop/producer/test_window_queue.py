"""Waiting for room in the window: in order, cancelled at any moment, and none left behind."""

from __future__ import annotations

import asyncio
import random

import pytest

from nsqgw.producer.window import Window


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_those_who_wait_enter_in_order() -> None:
    window = Window(1, 100)
    assert window.try_enter(1)
    entered: list[int] = []

    async def enter(number: int) -> None:
        await window.enter(1)
        entered.append(number)

    tasks = [asyncio.ensure_future(enter(number)) for number in range(3)]
    await turns()
    assert not window.try_enter(1), "nobody overtakes"
    for count in (1, 2, 3):
        window.leave(1)
        await turns()
        assert entered == list(range(count))
    await asyncio.gather(*tasks)


async def test_a_large_one_at_the_head_is_not_overtaken() -> None:
    window = Window(10, 10)
    assert window.try_enter(5)
    large = asyncio.ensure_future(window.enter(10))
    small = asyncio.ensure_future(window.enter(1))
    await turns()
    assert not small.done()
    window.leave(5)
    await large
    assert not small.done()
    window.leave(10)
    await small


async def test_cancelling_the_head_lets_the_next_in() -> None:
    window = Window(10, 10)
    assert window.try_enter(5)
    large = asyncio.ensure_future(window.enter(10))
    small = asyncio.ensure_future(window.enter(1))
    await turns()
    large.cancel()
    await asyncio.wait_for(small, 5)
    assert window.count == 2


async def test_cancelled_when_admitted_gives_the_room_back() -> None:
    window = Window(1, 10)
    assert window.try_enter(1)
    first, second = (asyncio.ensure_future(window.enter(1)) for _ in range(2))
    await turns()
    window.leave(1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 5)
    assert window.count == 1


async def test_empty_is_told_though_the_last_who_waited_was_cancelled() -> None:
    window = Window(1, 10)
    assert window.try_enter(1)
    waiting = asyncio.ensure_future(window.enter(1))
    empty = asyncio.ensure_future(window.wait_empty())
    await turns()
    waiting.cancel()
    window.leave(1)
    await asyncio.wait_for(empty, 5)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_everybody_who_waits_for_empty_is_told() -> None:
    window = Window(1, 10)
    assert window.try_enter(1)
    both = [asyncio.ensure_future(window.wait_empty()) for _ in range(2)]
    await turns()
    window.leave(1)
    await asyncio.wait_for(asyncio.gather(*both), 5)


@pytest.mark.parametrize("seed", range(10))
async def test_any_order_of_entering_leaving_and_cancelling_adds_up(seed: int) -> None:
    chance = random.Random(seed)
    window = Window(5, 50)
    inside: list[int] = []
    tasks: list[asyncio.Task[None]] = []

    async def enter(size: int) -> None:
        await window.enter(size)
        inside.append(size)

    for _ in range(300):
        step = chance.random()
        if step < 0.5:
            tasks.append(asyncio.ensure_future(enter(chance.randint(1, 30))))
        elif step < 0.8 and inside:
            window.leave(inside.pop(chance.randrange(len(inside))))
        elif tasks:
            chance.choice(tasks).cancel()
        if chance.random() < 0.5:
            await turns(3)
            assert window.count == len(inside) <= 5
            assert sum(inside) <= 50
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for size in inside:
        window.leave(size)
    assert (window.count, window._bytes) == (0, 0)
    await asyncio.wait_for(window.wait_empty(), 5)
