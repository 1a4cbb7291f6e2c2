"""The measured work for clients that are used by `async for message in ...` and `await message.fin()`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from perf.compare.clients.measured import Measurement, task

Messages = Callable[[dict[str, Any]], AsyncIterator[Any]]
"""Connects and iterates over what comes."""

Connect = Callable[[dict[str, Any]], Awaitable[Any]]
"""Connects a writer that has `pub(topic, body)` and `mpub(topic, *bodies)`."""


async def consume(work: dict[str, Any], messages: Messages) -> None:
    left = work["count"]
    async for message in messages(work):
        await message.fin()
        left -= 1
        if not left:
            break


async def consume_waiting(work: dict[str, Any], messages: Messages) -> None:
    """A task per message, and a semaphore that bounds how many there are."""
    left, room = work["count"], asyncio.Semaphore(work["concurrency"])
    tasks: set[asyncio.Task[None]] = set()

    async def handle(message: Any) -> None:
        await asyncio.sleep(work["wait"])
        await message.fin()
        room.release()

    async for message in messages(work):
        await room.acquire()
        handled = asyncio.ensure_future(handle(message))
        tasks.add(handled)
        handled.add_done_callback(tasks.discard)
        left -= 1
        if not left:
            break
    await asyncio.gather(*tasks)


async def latency(work: dict[str, Any], messages: Messages, measured: Measurement) -> None:
    async for message in messages(work):
        measured.arrived(message.body)
        await message.fin()
        if len(measured.latencies) == work["count"]:
            break


async def publish_tasks(work: dict[str, Any], connect: Connect) -> None:
    body, writer = b"x" * work["size"], await connect(work)

    async def publish(count: int) -> None:
        for _ in range(count):
            await writer.pub(work["topic"], body)

    await asyncio.gather(*(publish(work["count"] // work["window"]) for _ in range(work["window"])))


async def publish_many(work: dict[str, Any], connect: Connect) -> None:
    bodies, writer = [b"x" * work["size"]] * work["batch"], await connect(work)
    for _ in range(work["count"] // work["batch"]):
        await writer.mpub(work["topic"], *bodies)


async def run(messages: Messages, connect: Connect) -> None:
    """Do the task of the command line and report."""
    work = task()
    measured = Measurement(work["count"])
    await {
        "consume, async handler": lambda: consume(work, messages),
        "consume, async handler that waits": lambda: consume_waiting(work, messages),
        "latency": lambda: latency(work, messages, measured),
        "publish, 1000 tasks": lambda: publish_tasks(work, connect),
        "publish, batches of 100": lambda: publish_many(work, connect),
    }[work["scenario"]]()
    measured.report()
