"""The same work done with gnsq (gevent), in the way its documentation shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
import gevent.pool
import gnsq

from perf.compare.clients.measured import Measurement, task


def consume(work: dict[str, Any], handle: Callable[[Any, Any], None]) -> None:
    """Hands messages to `handle` until it closes the consumer."""
    consumer = gnsq.Consumer(work["topic"], "ch", [work["address"]], max_in_flight=work["max_in_flight"])
    consumer.on_message.connect(handle)
    consumer.start()


def consume_sync(work: dict[str, Any], measured: Measurement) -> None:
    left = work["count"]

    def handle(consumer: Any, message: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            message.finish()
            consumer.close()

    consume(work, handle)


def consume_waiting(work: dict[str, Any], measured: Measurement) -> None:
    left = work["count"]
    pool = gevent.pool.Pool(work["concurrency"])

    def wait(consumer: Any, message: Any) -> None:
        nonlocal left
        gevent.sleep(work["wait"])
        message.finish()
        left -= 1
        if not left:
            consumer.close()

    def handle(consumer: Any, message: Any) -> None:
        message.enable_async()
        pool.spawn(wait, consumer, message)

    consume(work, handle)


def latency(work: dict[str, Any], measured: Measurement) -> None:
    def handle(consumer: Any, message: Any) -> None:
        measured.arrived(message.body)
        if len(measured.latencies) == work["count"]:
            message.finish()
            consumer.close()

    consume(work, handle)


def started_producer(work: dict[str, Any]) -> Any:
    producer = gnsq.Producer([work["address"]])
    producer.start()
    return producer


def publish_window(work: dict[str, Any], measured: Measurement) -> None:
    body = b"x" * work["size"]
    outstanding: deque[Any] = deque()
    producer = started_producer(work)
    for _ in range(work["count"]):
        if len(outstanding) == work["window"]:
            outstanding.popleft().get()
        outstanding.append(producer.publish(work["topic"], body, raise_error=False))
    for published in outstanding:
        published.get()


def publish_many(work: dict[str, Any], measured: Measurement) -> None:
    bodies = [b"x" * work["size"]] * work["batch"]
    producer = started_producer(work)
    for _ in range(work["count"] // work["batch"]):
        producer.multipublish(work["topic"], bodies)


def publish_many_window(work: dict[str, Any], measured: Measurement) -> None:
    bodies = [b"x" * work["size"]] * work["batch"]
    outstanding: deque[Any] = deque()
    producer = started_producer(work)
    for _ in range(work["count"] // work["batch"]):
        if len(outstanding) == work["window"]:
            outstanding.popleft().get()
        outstanding.append(producer.multipublish(work["topic"], bodies, raise_error=False))
    for published in outstanding:
        published.get()


WORK: dict[str, Callable[[dict[str, Any], Measurement], None]] = {
    "consume, sync handler": consume_sync,
    "consume, async handler that waits": consume_waiting,
    "publish, 1000 outstanding": publish_window,
    "publish, batches of 100": publish_many,
    "publish, batches of 100, 10 under way": publish_many_window,
    "latency": latency,
}


def main() -> None:
    work = task()
    measured = Measurement(work["count"])
    WORK[work["scenario"]](work, measured)
    measured.report()


if __name__ == "__main__":
    main()
