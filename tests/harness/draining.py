"""All messages of a topic, through a consumer."""

from __future__ import annotations

from collections.abc import Callable

from harness.polling import eventually_async
from nsqgw import Consumer


async def consume(address: str, topic: str, enough: Callable[[list[bytes]], bool]) -> list[bytes]:
    """The bodies in the topic, once those that came are `enough`."""
    got: list[bytes] = []
    async with Consumer(
        topic,
        "ch",
        lambda message: got.append(message.body),
        nsqd_tcp_addresses=[address],
        max_in_flight=1000,
    ):
        await eventually_async(lambda: enough(got), what=f"enough messages in {topic}")
    return got
