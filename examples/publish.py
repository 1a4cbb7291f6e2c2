"""Publish: one message, a deferred one, many at once, and those of one customer to one nsqd."""

import asyncio
import os

from nsqgw import Producer
from nsqgw.errors import MessageTooBig

NSQDS = os.environ.get("NSQD_TCP_ADDRESS", "127.0.0.1:4150").split(",")


async def main():
    async with Producer(NSQDS) as producer:  # in turn over those alive, and again where one fails
        await producer.publish("events", b"hello")
        await producer.publish("events", b"reminder", delay=0.5)
        await producer.publish_many("events", [b"row %d" % number for number in range(1000)])
        await producer.publish("events", b"for customer 42", key=b"42")
        try:
            await producer.publish("events", bytes(2_000_000))
        except MessageTooBig as error:  # found here: nsqd would have ended the connection
            print(error)
        print(f"published {producer.stats.published}")


asyncio.run(main())
