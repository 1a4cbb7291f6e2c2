"""Write messages to a file in batches, and finish them only when they are on the disk."""

import asyncio
import contextlib
import os

from nsqgw import Consumer

NSQD = os.environ.get("NSQD_TCP_ADDRESS", "127.0.0.1:4150")


def store(bodies):
    with open("events.log", "ab") as log:
        log.writelines(body + b"\n" for body in bodies)
        log.flush()
        os.fsync(log.fileno())


async def main():
    async with Consumer("events", "archive", nsqd_tcp_addresses=[NSQD], max_in_flight=2500) as consumer:
        async for batch in consumer.batches(max_messages=1000, max_bytes=5_000_000, max_wait=0.5):
            await asyncio.to_thread(store, [message.body for message in batch])
            batch.finish()
            print(f"stored {len(batch)} messages, {batch.size} bytes", flush=True)


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
