"""Consume all topics that match a pattern, on all nsqds nsqlookupd knows; new ones join by themselves."""

import asyncio
import contextlib
import os

from nsqgw import Consumer

LOOKUPD = os.environ.get("LOOKUPD_HTTP_ADDRESS", "127.0.0.1:4161")


def handle(message):  # a plain function is the fastest kind of handler, as long as it never waits
    print(f"{message.topic} from {message.nsqd_address}: {message.body.decode()}", flush=True)


async def main():
    async with Consumer(
        "logs.*", "console", handle, lookupd_http_addresses=[LOOKUPD], lookupd_poll_interval=15.0
    ) as consumer:
        await consumer.wait_closed()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
