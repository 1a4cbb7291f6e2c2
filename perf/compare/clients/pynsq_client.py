"""The same work done with pynsq, in the way its documentation shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import nsq
from tornado.ioloop import IOLoop, PeriodicCallback

from perf.compare.clients.measured import Measurement, task


def consume(work: dict[str, Any], handler: Callable[[Any], Any], max_in_flight: int | None = None) -> None:
    nsq.Reader(
        message_handler=handler,
        nsqd_tcp_addresses=[work["address"]],
        topic=work["topic"],
        channel="ch",
        max_in_flight=max_in_flight or work["max_in_flight"],
    )
    IOLoop.current().start()


def consume_sync(work: dict[str, Any], measured: Measurement) -> None:
    left = work["count"]

    def handle(message: Any) -> bool:
        nonlocal left
        left -= 1
        if not left:
            IOLoop.current().add_callback(IOLoop.current().stop)
        return True

    consume(work, handle)


def consume_async(work: dict[str, Any], measured: Measurement) -> None:
    left = work["count"]

    async def handle(message: Any) -> bool:
        nonlocal left
        left -= 1
        if not left:
            IOLoop.current().add_callback(IOLoop.current().stop)
        return True

    consume(work, handle)


def consume_waiting(work: dict[str, Any], measured: Measurement) -> None:
    """Nothing but `max_in_flight` limits how many handlers run at once."""
    left, wait = work["count"], work["wait"]

    async def handle(message: Any) -> bool:
        nonlocal left
        await asyncio.sleep(wait)
        left -= 1
        if not left:
            IOLoop.current().add_callback(IOLoop.current().stop)
        return True

    consume(work, handle, max_in_flight=work["concurrency"])


def latency(work: dict[str, Any], measured: Measurement) -> None:
    def handle(message: Any) -> bool:
        measured.arrived(message.body)
        if len(measured.latencies) == work["count"]:
            IOLoop.current().add_callback(IOLoop.current().stop)
        return True

    consume(work, handle)


def with_writer(work: dict[str, Any], publish: Callable[[Any], None]) -> None:
    """Calls `publish` with a writer as soon as it is connected."""
    writer = nsq.Writer([work["address"]])

    def when_connected() -> None:
        if writer.conns:
            waiting.stop()
            publish(writer)

    waiting = PeriodicCallback(when_connected, 10)
    waiting.start()
    IOLoop.current().start()


def publish_window(work: dict[str, Any], measured: Measurement) -> None:
    body = b"x" * work["size"]
    unsent, unanswered = work["count"] - work["window"], work["count"]

    def start(writer: Any) -> None:
        def answered(conn: Any, data: Any) -> None:
            nonlocal unsent, unanswered
            assert data == b"OK", data
            unanswered -= 1
            if unsent:
                unsent -= 1
                writer.pub(work["topic"], body, callback=answered)
            elif not unanswered:
                IOLoop.current().stop()

        for _ in range(work["window"]):
            writer.pub(work["topic"], body, callback=answered)

    with_writer(work, start)


def publish_many(work: dict[str, Any], measured: Measurement) -> None:
    bodies = [b"x" * work["size"]] * work["batch"]
    window = work.get("window", 1)
    unanswered = work["count"] // work["batch"]
    unsent = unanswered - window

    def start(writer: Any) -> None:
        def answered(conn: Any, data: Any) -> None:
            nonlocal unsent, unanswered
            assert data == b"OK", data
            unanswered -= 1
            if unsent:
                unsent -= 1
                writer.mpub(work["topic"], bodies, callback=answered)
            elif not unanswered:
                IOLoop.current().stop()

        for _ in range(window):
            writer.mpub(work["topic"], bodies, callback=answered)

    with_writer(work, start)


WORK: dict[str, Callable[[dict[str, Any], Measurement], None]] = {
    "consume, sync handler": consume_sync,
    "consume, async handler": consume_async,
    "consume, async handler that waits": consume_waiting,
    "publish, 1000 outstanding": publish_window,
    "publish, batches of 100": publish_many,
    "publish, batches of 100, 10 under way": publish_many,
    "latency": latency,
}


def main() -> None:
    work = task()
    measured = Measurement(work["count"])
    WORK[work["scenario"]](work, measured)
    measured.report()


if __name__ == "__main__":
    main()
