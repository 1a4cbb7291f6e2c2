"""What each exception means: try again soon, try again and slow down, or never again."""

import asyncio
import contextlib
import json
import os

from nsqgw import Consumer, FailureRule

NSQD = os.environ.get("NSQD_TCP_ADDRESS", "127.0.0.1:4150")


class Busy(Exception):
    """The other side is up, and asks to come back later."""


RULES = {
    Busy: FailureRule(delay=1.0, backoff=False),  # this message only
    ConnectionError: FailureRule(delay=5.0),  # the consumer slows down, until messages succeed again
    ValueError: FailureRule(give_up=True),  # it will be no better next time
}


async def handle(message):
    customer = json.loads(message.body)  # JSONDecodeError is a ValueError
    if customer.get("busy") and message.attempts == 1:
        raise Busy
    print(f"mail to {customer['name']}", flush=True)


async def give_up(message):
    print(f"nobody understands {message.body!r}", flush=True)


async def main():
    async with Consumer(
        "mails", "sender", handle, on_giving_up=give_up, failure_rules=RULES, nsqd_tcp_addresses=[NSQD]
    ) as consumer:
        await consumer.wait_closed()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
