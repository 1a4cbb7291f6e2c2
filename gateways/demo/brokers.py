"""The demo's cluster: an nsqlookupd and two nsqds in this event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from compat.nsqd import Nsqd, NsqdOptions
from compat.nsqd.topic import Topic
from compat.nsqlookupd import Nsqlookupd, NsqlookupdOptions
from nsqgw.errors import DeadlineExceeded

HOST = "127.0.0.1"
ANY_PORT = f"{HOST}:0"
NSQDS = 2

_POLL = 0.05


class Brokers:
    """`addresses` are the nsqds' TCP ports, free ones where none is given."""

    def __init__(self, nsqd_addresses: Sequence[str] = (), lookupd_http_address: str = ANY_PORT) -> None:
        self._nsqd_addresses = (*nsqd_addresses, *[ANY_PORT] * NSQDS)[:NSQDS]
        self.lookupd = Nsqlookupd(
            NsqlookupdOptions(tcp_address=ANY_PORT, http_address=lookupd_http_address, broadcast_address=HOST)
        )
        self.nsqds: list[Nsqd] = []

    async def start(self, topics: Sequence[str], timeout: float) -> None:
        """Listen, create `topics` on every nsqd, and wait until nsqlookupd knows where they are.

        Raises ListenFailed, or DeadlineExceeded after `timeout` seconds.
        """
        await self.lookupd.start()
        for address in self._nsqd_addresses:
            nsqd = Nsqd(
                NsqdOptions(
                    tcp_address=address,
                    http_address=ANY_PORT,
                    broadcast_address=HOST,
                    lookupd_tcp_addresses=(self.lookupd.tcp_address,),
                )
            )
            await nsqd.start()
            self.nsqds.append(nsqd)
            for topic in topics:
                nsqd.topic(topic)
        if not await _within(timeout, lambda: self._all_known(topics)):
            raise DeadlineExceeded(f"the nsqds did not register with nsqlookupd within {timeout:g} s")

    async def stop(self) -> None:
        """Close everything; what is still queued is gone."""
        for nsqd in self.nsqds:
            await nsqd.stop()
        await self.lookupd.stop()

    def left(self) -> int:
        """Messages no consumer has finished, over all topics and channels."""
        return sum(_left_on(nsqd) for nsqd in self.nsqds)

    async def wait_consumed(self, channels: int, timeout: float) -> None:
        """Until every topic on every nsqd has that many channels with a consumer; DeadlineExceeded otherwise.

        A channel gets no message from before it was there: whoever counts messages waits for this first.
        """
        if not await _within(timeout, lambda: self._all_consumed(channels)):
            raise DeadlineExceeded(f"the gateways did not subscribe at every nsqd within {timeout:g} s")

    async def wait_empty(self, timeout: float) -> bool:
        """Whether everything was finished within `timeout` seconds."""
        return await _within(timeout, lambda: self.left() == 0)

    def _all_known(self, topics: Sequence[str]) -> bool:
        registry, now = self.lookupd.registry, self.lookupd.now()
        return all(len(registry.producers(topic, now)) == NSQDS for topic in topics)

    def _all_consumed(self, channels: int) -> bool:
        topics = [topic for nsqd in self.nsqds for topic in nsqd.topics.values()]
        return all(_consumed_channels(topic) == channels for topic in topics)


def _consumed_channels(topic: Topic) -> int:
    return sum(1 for channel in topic.channels.values() if channel.consumers)


def _left_on(nsqd: Nsqd) -> int:
    nsqd.settle()
    return sum(
        topic.depth
        + sum(
            channel.depth + channel.in_flight_count + channel.deferred_count
            for channel in topic.channels.values()
        )
        for topic in nsqd.topics.values()
    )


async def _within(timeout: float, probe: Callable[[], bool]) -> bool:
    """Whether `probe` becomes true within `timeout` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not probe():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_POLL)
    return True
