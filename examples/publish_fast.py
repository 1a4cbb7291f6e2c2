"""Publish without waiting for each answer: thousands under way, memory bounded, every failure seen."""

import asyncio
import os

from nsqgw import Producer

NSQDS = os.environ.get("NSQD_TCP_ADDRESS", "127.0.0.1:4150").split(",")


async def send(producer, number):
    # Where max_outstanding are without an answer, publish waits: that is the back-pressure.
    await producer.publish("measurements", b"%d" % number)


async def main():
    async with Producer(NSQDS, max_outstanding=1000) as producer:
        for start in range(0, 20_000, 5000):
            answers = await asyncio.gather(
                *(send(producer, number) for number in range(start, start + 5000)), return_exceptions=True
            )
            for failure in filter(None, answers):
                print("not published:", failure)
        print(f"published {producer.stats.published}")


asyncio.run(main())
