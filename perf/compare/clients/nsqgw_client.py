"""The measured work done with nsqgw."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from nsqgw import Batch, Consumer, Message, NSQError, Producer
from perf.compare.clients.measured import Measurement, task


class Goal:
    """Done when `count` messages came."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.reached = asyncio.Event()

    def came(self, count: int) -> None:
        self.left -= count
        if self.left <= 0:
            self.reached.set()


async def consume(work: dict[str, Any], **handlers: Any) -> None:
    goal: Goal = handlers.pop("goal")
    options = {"nsqd_tcp_addresses": [work["address"]], "max_in_flight": work["max_in_flight"]}
    async with Consumer(work["topic"], "ch", **handlers, **options):
        await goal.reached.wait()


async def consume_sync(work: dict[str, Any], measured: Measurement) -> None:
    goal = Goal(work["count"])

    def handle(message: Message) -> None:
        goal.came(1)

    await consume(work, goal=goal, handler=handle)


async def consume_async(work: dict[str, Any], measured: Measurement) -> None:
    goal = Goal(work["count"])

    async def handle(message: Message) -> None:
        goal.came(1)

    await consume(work, goal=goal, handler=handle)


async def consume_waiting(work: dict[str, Any], measured: Measurement) -> None:
    goal, wait = Goal(work["count"]), work["wait"]

    async def handle(message: Message) -> None:
        await asyncio.sleep(wait)
        goal.came(1)

    await consume(work, goal=goal, handler=handle, concurrency=work["concurrency"])


async def consume_batch(work: dict[str, Any], measured: Measurement) -> None:
    goal = Goal(work["count"])

    def handle(batch: Batch) -> None:
        goal.came(len(batch))

    await consume(work, goal=goal, batch_handler=handle)


async def latency(work: dict[str, Any], measured: Measurement) -> None:
    goal = Goal(work["count"])

    def handle(message: Message) -> None:
        measured.arrived(message.body)
        goal.came(1)

    await consume(work, goal=goal, handler=handle)


async def publish_window(work: dict[str, Any], measured: Measurement) -> None:
    """Each answer sends the next message, as in the programs of the other clients."""
    topic, body = work["topic"], b"x" * work["size"]
    goal = Goal(work["count"])
    unsent = work["count"] - work["window"]

    def answered(error: NSQError | None) -> None:
        nonlocal unsent
        if error is not None:
            raise error
        goal.came(1)
        if unsent:
            unsent -= 1
            producer.publish_then(topic, body, answered)

    async with Producer([work["address"]]) as producer:
        for _ in range(work["window"]):
            producer.publish_then(topic, body, answered)
        await goal.reached.wait()


async def publish_sliding(work: dict[str, Any], measured: Measurement) -> None:
    """A window that slides: the oldest publish is awaited before the next goes out."""
    body = b"x" * work["size"]
    outstanding: deque[asyncio.Future[None]] = deque()
    async with Producer([work["address"]]) as producer:
        for _ in range(work["count"]):
            if len(outstanding) == work["window"]:
                await outstanding.popleft()
            outstanding.append(producer.publish_soon(work["topic"], body))
        for published in outstanding:
            await published


async def publish_tasks(work: dict[str, Any], measured: Measurement) -> None:
    """As many tasks as publishes may be outstanding, each waiting for its answer."""
    body = b"x" * work["size"]
    window = work["window"]

    async def publish(count: int) -> None:
        for _ in range(count):
            await producer.publish(work["topic"], body)

    async with Producer([work["address"]]) as producer:
        await asyncio.gather(*(publish(work["count"] // window) for _ in range(window)))


async def publish_many(work: dict[str, Any], measured: Measurement) -> None:
    bodies = [b"x" * work["size"]] * work["batch"]
    async with Producer([work["address"]]) as producer:
        for _ in range(work["count"] // work["batch"]):
            await producer.publish_many(work["topic"], bodies)


async def publish_many_window(work: dict[str, Any], measured: Measurement) -> None:
    bodies = [b"x" * work["size"]] * work["batch"]

    async def publish(count: int) -> None:
        for _ in range(count):
            await producer.publish_many(work["topic"], bodies)

    window = work["window"]
    async with Producer([work["address"]]) as producer:
        await asyncio.gather(*(publish(work["count"] // work["batch"] // window) for _ in range(window)))


WORK: dict[str, Callable[[dict[str, Any], Measurement], Awaitable[None]]] = {
    "consume, sync handler": consume_sync,
    "consume, async handler": consume_async,
    "consume, async handler that waits": consume_waiting,
    "consume, batch handler": consume_batch,
    "publish, 1000 outstanding": publish_window,
    "publish, 1000 futures outstanding": publish_sliding,
    "publish, 1000 tasks": publish_tasks,
    "publish, batches of 100": publish_many,
    "publish, batches of 100, 10 under way": publish_many_window,
    "latency": latency,
}


async def main() -> None:
    work = task()
    measured = Measurement(work["count"])
    await WORK[work["scenario"]](work, measured)
    measured.report()


if __name__ == "__main__":
    asyncio.run(main())
