"""Work that blocks for longer than nsqd waits: in threads, while the messages are touched automatically."""

import asyncio
import contextlib
import os
import time

from nsqgw import ConnectionConfig, Consumer

NSQD = os.environ.get("NSQD_TCP_ADDRESS", "127.0.0.1:4150")
SECONDS = float(os.environ.get("WORK_SECONDS", "90"))


def convert(message):
    time.sleep(SECONDS)  # your work; heartbeats and touches go on meanwhile
    print(f"converted {message.body.decode()}, attempt {message.attempts}", flush=True)


async def main():
    async with Consumer(
        "videos",
        "converter",
        convert,
        nsqd_tcp_addresses=[NSQD],
        threads=4,
        max_in_flight=4,
        connection=ConnectionConfig(msg_timeout=1.0),
    ) as consumer:
        await consumer.wait_closed()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
