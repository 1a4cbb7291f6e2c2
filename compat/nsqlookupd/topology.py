"""What nsqlookupd tells of its cluster: a journal of the registry's changes, streamed and published.

The registry never waits for it: changes of one turn of the loop are looked at together in another one, and
looking takes a small part of the time at most. Nothing is done until somebody wants to know.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from compat.http_api import ApiError, Call, Route, TakeOver
from compat.nsqlookupd.topology_registry import WatchedRegistry
from nsqgw.service.topology_stream import Refused, StreamRequest, TopologyStreams
from nsqgw.topology.journal import Journal

if TYPE_CHECKING:
    from nsqgw.service.topology_publisher import TopologyPublisher

logger = logging.getLogger(__name__)

_REST = 4.0
"""Pause behind a look, as a multiple of the time it took: the registry's work goes first."""
_SHORTEST_ALARM = 0.05


class Topology:
    """The news of `registry`; `now` is the registry's clock."""

    def __init__(self, registry: WatchedRegistry, now: Callable[[], float]) -> None:
        self.journal = Journal()
        self.streams = TopologyStreams(self.journal)
        self.publisher: TopologyPublisher | None = None
        self._registry = registry
        self._now = now
        self._watching = False
        self._look_timer: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._rest_until = 0.0

    def watch(self) -> None:
        """Follow the registry from now on; the journal has its state when this returns."""
        if self._watching:
            return
        self._watching = True
        self._registry.watch(self._touched, self._now())
        self._look()

    def publish(self, topic: str, nsqds: tuple[str, ...], lookupd: str) -> None:
        """Publish the events to `topic`, on one of `nsqds`, or else on one of those registered.

        `lookupd` is our own HTTP address, asked now and then for nsqds that were away for long.
        """
        from nsqgw.service.topology_publisher import TopologyPublisher  # a producer, for who asked for it

        self.watch()
        reachable = not nsqds and not lookupd.startswith("/")  # a unix socket is not for HTTP clients
        self.publisher = TopologyPublisher(self.journal, topic, nsqds, (lookupd,) if reachable else ())
        self.publisher.start()

    async def stop(self) -> None:
        """End the streams and the publishing."""
        for timer in (self._look_timer, self._alarm):
            if timer is not None:
                timer.cancel()
        await self.streams.close()
        if self.publisher is not None:
            await self.publisher.stop()

    def routes(self) -> list[Route]:
        """What the HTTP port has beside the original's API."""
        return [
            Route("GET", "/topology", self._snapshot),
            Route("GET", "/topology/stream", self._stream),
        ]

    def _snapshot(self, call: Call) -> object:
        self.watch()
        return json.loads(self.journal.snapshot().data)

    def _stream(self, call: Call) -> TakeOver:
        self.watch()
        target = f"{call.path}?{call.query_string}" if call.query_string else call.path
        request = StreamRequest(target, call.headers, call.query.get("last_event_id"))
        try:
            dialect = self.streams.check(request)
        except Refused as error:
            raise ApiError(error.status, str(error)) from error
        return TakeOver(lambda stream: self.streams.begin(stream, request, dialect))

    def _touched(self) -> None:
        if self._look_timer is None:
            loop = asyncio.get_running_loop()
            self._look_timer = loop.call_at(max(self._rest_until, loop.time()), self._look)

    def _look(self) -> None:
        """Record what is new, and wait for what time will change."""
        clock = asyncio.get_running_loop().time
        began = clock()
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        now = self._now()
        self.journal.record(self._registry.node_news(self.journal.cluster, now))
        self.journal.record(self._registry.topic_news(self.journal.cluster, now))
        self._set_alarm(now)
        self._rest_until = clock() + _REST * (clock() - began)

    def _set_alarm(self, now: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        delay = max(_SHORTEST_ALARM, self._registry.next_expiry(now) - now)
        self._alarm = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        now = self._now()
        self._registry.expire(now)
        self._set_alarm(now)
