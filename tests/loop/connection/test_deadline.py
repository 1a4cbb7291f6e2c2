"""Deadlines: in time, too late, and cancelled in the worst of moments."""

from __future__ import annotations

import asyncio

import pytest

from nsqgw.deadline import within


async def test_in_time() -> None:
    async def step() -> int:
        await asyncio.sleep(0)
        return 5

    assert await within(5.0, step()) == 5
    assert await within(None, step()) == 5


async def test_too_late() -> None:
    ended = False

    async def step() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    for seconds in (0.01, 0, -1):
        ended = False
        with pytest.raises(asyncio.TimeoutError):
            await within(seconds, step())
        assert ended


async def test_errors_pass() -> None:
    async def step() -> None:
        raise KeyError("own")

    with pytest.raises(KeyError):
        await within(1.0, step())


async def test_cancelled_in_the_turn_in_which_it_is_done() -> None:
    done = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await done

    waiting = asyncio.ensure_future(within(5.0, wait()))
    await asyncio.sleep(0)
    done.set_result(None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_cancelled_while_waiting() -> None:
    waiting = asyncio.ensure_future(within(5.0, asyncio.Event().wait()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
