"""Numbered messages under way all the time, the fate of each known: what a fault must leave true."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from harness.polling import eventually_async
from harness.scripted import QUICK
from nsqgw import ConnectionConfig, Consumer, Message, NSQError, Producer
from nsqgw.errors import PublishError
from nsqgw.instrument import Connected, Disconnected, Fact

CARRY_ON = 30.0
"""Deadline for what takes a second or two on a quiet machine."""

PATIENT = ConnectionConfig(msg_timeout=1.0)
"""What a lost connection took with it comes again after a second, not after nsqd's minute."""

ALERT = ConnectionConfig(msg_timeout=1.0, heartbeat_interval=1.0, connect_timeout=1.0)
"""Notices silence after two seconds, too."""

PADDING = bytes(200)
PUBLISHERS = 8
MAX_OUTSTANDING = 50
MAX_IN_FLIGHT = 100

_names = itertools.count()


class Load:
    """A consumer and a producer at work on one topic, which loads one after the other may share.

    confirmed  numbers whose publish returned
    refused    those that certainly were not accepted, says the exception
    unknown    those whose fate the exception leaves open
    seen       deliveries of each number; `first` counts those with attempts = 1
    facts      what both reported
    """

    def __init__(self, topic: str, consume: list[str], publish: list[str], **options: Any) -> None:
        self.topic = topic
        self.confirmed: set[int] = set()
        self.refused: set[int] = set()
        self.unknown: set[int] = set()
        self.seen: Counter[int] = Counter()
        self.first: Counter[int] = Counter()
        self.facts: list[Fact] = []
        self.published = 0
        self._name = b"%d" % next(_names)
        self._publishing: list[asyncio.Task[None]] = []
        common = QUICK | {"on_fact": self.facts.append, "connection": PATIENT} | options
        self.producer = Producer(publish, max_outstanding=MAX_OUTSTANDING, publish_timeout=CARRY_ON, **common)
        self.consumer = Consumer(
            topic, "ch", self.handle, nsqd_tcp_addresses=consume, max_in_flight=MAX_IN_FLIGHT, **common
        )

    async def start(self) -> None:
        """Begin; returns when messages arrive."""
        await self.consumer.start()
        await self.producer.start()
        await self.start_publishing()

    async def start_publishing(self) -> None:
        """The same for clients that run already."""
        await self.consumer.wait_connected(CARRY_ON)
        self._publishing = [asyncio.create_task(self._publish()) for _ in range(PUBLISHERS)]
        await self.goes_on()

    async def goes_on(self, count: int = 50) -> None:
        """Until messages published from now on have been confirmed and have arrived."""
        threshold = self.published
        await eventually_async(
            lambda: sum(number >= threshold and number in self.seen for number in self.confirmed) >= count,
            CARRY_ON,
            "messages go on",
        )

    def disconnects(self) -> list[Disconnected]:
        """The connections that were lost, of both."""
        return [fact for fact in self.facts if isinstance(fact, Disconnected) and fact.error is not None]

    def connects(self) -> int:
        """How many connections were made, by both."""
        return sum(isinstance(fact, Connected) for fact in self.facts)

    async def end(self) -> None:
        """Publish no more; all that was confirmed must arrive, and both must stop in time."""
        await self.settle()
        await asyncio.wait_for(self.producer.stop(5.0), CARRY_ON)
        await asyncio.wait_for(self.consumer.stop(5.0), CARRY_ON)

    async def settle(self) -> None:
        """No publish is under way any more; what was promised of each is checked."""
        await self.stop_publishing()
        missing = [number for number in self.confirmed if number not in self.seen]
        await eventually_async(
            lambda: not [number for number in missing if number not in self.seen], CARRY_ON, "all arrives"
        )
        assert self.refused.isdisjoint(self.seen), "delivered though the producer said it was not accepted"
        twice = [number for number, count in self.first.items() if count > 1]
        assert not twice, f"published more than once: {twice[:10]}"

    async def stop_publishing(self) -> None:
        """End what is under way, whatever becomes of it."""
        for task in self._publishing:
            task.cancel()
        await asyncio.gather(*self._publishing, return_exceptions=True)

    async def _publish(self) -> None:
        while True:
            number, self.published = self.published, self.published + 1
            try:
                await self.producer.publish(self.topic, b"%b:%d:" % (self._name, number) + PADDING)
            except PublishError:
                self.refused.add(number)
            except NSQError:
                self.unknown.add(number)
            else:
                self.confirmed.add(number)
            assert self.producer.stats.outstanding <= MAX_OUTSTANDING
            await asyncio.sleep(0.002)

    def handle(self, message: Message) -> None:
        """Note a delivery; the consumer's handler."""
        name, number, _ = message.body.split(b":")
        if name == self._name:
            self.seen[int(number)] += 1
            self.first[int(number)] += message.attempts == 1
        assert self.consumer.stats.in_flight <= MAX_IN_FLIGHT


@asynccontextmanager
async def under_load(
    topic: str, consume: list[str], publish: list[str], **options: Any
) -> AsyncIterator[Load]:
    """A running Load, ended and judged behind the block; both clients stop in any case."""
    load = Load(topic, consume, publish, **options)
    try:
        await load.start()
        yield load
        await load.end()
    finally:
        await load.producer.stop(0.0)
        await load.consumer.stop(0.0)
        await load.stop_publishing()
