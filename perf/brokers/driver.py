"""The load: a process of its own, the same for every broker. The task is one JSON object, so are the figures.

It drives brokers with the clients of nsqgw, whose cost per message is below that of either broker.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from nsqgw import Batch, Consumer, NSQError, Producer

TOPIC, CHANNEL = "load", "ch"
Task = dict[str, Any]


async def consume(task: Task, count: int) -> None:
    """Until so many messages came and were finished."""
    left, done = count, asyncio.Event()

    def handle(batch: Batch) -> None:
        nonlocal left
        left -= len(batch)
        if left <= 0:
            done.set()

    options = {"nsqd_tcp_addresses": [task["address"]], "max_in_flight": 2500}
    async with Consumer(TOPIC, CHANNEL, batch_handler=handle, **options) as consumer:
        await consumer.wait_connected(10)
        await done.wait()


async def publish_singles(task: Task, count: int) -> None:
    """One PUB a message, a window of them without an answer."""
    body = b"x" * task["size"]
    unsent, unanswered = count - task["window"], count
    done = asyncio.Event()

    def answered(error: NSQError | None) -> None:
        nonlocal unsent, unanswered
        if error is not None:
            raise error
        unanswered -= 1
        if unsent:
            unsent -= 1
            producer.publish_then(TOPIC, body, answered)
        elif not unanswered:
            done.set()

    async with Producer([task["address"]]) as producer:
        for _ in range(task["window"]):
            producer.publish_then(TOPIC, body, answered)
        await done.wait()


async def publish_batches(task: Task, count: int) -> None:
    """MPUBs of `batch` messages, some under way at once."""
    bodies = [b"x" * task["size"]] * task["batch"]
    each = count // task["batch"] // task["window"]

    async def publish() -> None:
        for _ in range(each):
            await producer.publish_many(TOPIC, bodies)

    async with Producer([task["address"]]) as producer:
        await asyncio.gather(*(publish() for _ in range(task["window"])))


async def through_singles(task: Task) -> None:
    """Published one by one and consumed meanwhile."""
    await asyncio.gather(publish_singles(task, task["count"]), consume(task, task["count"]))


async def through_batches(task: Task) -> None:
    """Published in batches and consumed meanwhile."""
    await asyncio.gather(publish_batches(task, task["count"]), consume(task, task["count"]))


async def fill(task: Task) -> None:
    """Published in batches, consumed by nobody."""
    await publish_batches(task, task["count"])


async def drain(task: Task) -> None:
    """What was filled in, consumed."""
    await consume(task, task["count"])


async def idle(task: Task) -> None:
    """Connections that have subscribed and do nothing; the driver says so, and waits for a line to end."""
    host, port = task["address"].rsplit(":", 1)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    document = json.dumps({"heartbeat_interval": 60000}).encode()
    greeting = b"  V2IDENTIFY\n" + len(document).to_bytes(4, "big") + document
    greeting += f"SUB {TOPIC} {CHANNEL}\nRDY 1\n".encode()
    open_sockets = []
    for _ in range(task["count"]):
        connection = socket.create_connection((host, int(port)), 10)
        connection.sendall(greeting)
        open_sockets.append(connection)
    for connection in open_sockets:
        answer = b""
        while answer.count(b"OK") < 2:
            if not (data := connection.recv(4096)):
                sys.exit(f"the broker hung up after {answer!r}")
            answer += data
    print(json.dumps({}), flush=True)
    sys.stdin.readline()


WORK: dict[str, Callable[[Task], Awaitable[None]]] = {
    work.__name__: work for work in (through_singles, through_batches, fill, drain, idle)
}


def main() -> None:
    task = json.loads(sys.argv[1])
    started = time.perf_counter()
    asyncio.run(WORK[task["work"]](task))  # type: ignore[arg-type]
    times = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": time.perf_counter() - started, "cpu": times.ru_utime + times.ru_stime}))


if __name__ == "__main__":
    main()
