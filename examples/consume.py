"""Handle messages as they come; what fails five times goes to another topic, for somebody to look at."""

import asyncio
import contextlib
import json
import os

from nsqgw import Consumer

NSQD = os.environ.get("NSQD_TCP_ADDRESS", "127.0.0.1:4150")


async def handle(message):
    order = json.loads(message.body)  # raising gives the message back, to be tried again later
    print(f"order {order['number']}, attempt {message.attempts}", flush=True)


async def main():
    async with Consumer(
        "orders",
        "billing",
        handle,
        nsqd_tcp_addresses=[NSQD],
        max_in_flight=500,
        max_attempts=5,
        dead_letter_topic="orders.dead",
        requeue_delay=10.0,
    ) as consumer:
        await consumer.wait_closed()


with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C: what is being handled finishes, the rest goes back
    asyncio.run(main())
