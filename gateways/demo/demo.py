"""The demo as a service: brokers, a producer with real input, the ship and the push gateway.

It stops in the order in which messages flow: the input first, then, once the brokers have nothing left,
the gateways and the brokers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateways.demo import machine
from gateways.demo.brokers import ANY_PORT, Brokers
from gateways.demo.records import RecordQueue, note_quietly, publish_records
from gateways.push.access.security import Security
from gateways.push.config import PushConfig
from gateways.push.gateway import PushGateway
from gateways.push.limits import Limits
from gateways.push.routes import static_pages
from gateways.ship.named_sink import NamedSink
from gateways.ship.service import ShipService
from gateways.ship.settings import ShipSettings
from gateways.ship.sinks.file import FileSettings
from nsqgw import Producer
from nsqgw.errors import NSQError

if TYPE_CHECKING:
    from prometheus_client import Metric

logger = logging.getLogger(__name__)

FIGURES = "figures"
LOGS = "logs"
TOPICS = (FIGURES, LOGS)
CHANNEL = "archive"
FILE_NAME = "shipped.ndjson"

_INPUT_INTERVAL = 0.25
_AVERAGED = 4
"""Intervals that figures a second are taken over: one alone is a few ticks of the kernel's clock."""
_REPORT_EVERY = 8
"""Intervals between two log lines with the figures, so that there is always a log to look at."""
_START_TIMEOUT = 10.0
_EMPTY_TIMEOUT = 10.0


@dataclass(frozen=True)
class DemoSettings:
    """`data_dir` must exist; `seconds` ends the demo by itself; ports are free ones where none is given.

    `admin_address` is said to people; whoever runs the demo opens it.
    """

    data_dir: Path
    listen: str = "127.0.0.1:8080"
    nsqd_tcp_addresses: tuple[str, ...] = ()
    lookupd_http_address: str = ANY_PORT
    seconds: float | None = None
    allow_hosts: tuple[str, ...] = ()
    admin_address: str = ""


@dataclass(frozen=True)
class Count:
    """How far the messages got: the same number three times when all is well, and none left.

    `delivered` counts every browser, so it is another number.
    """

    published: int
    shipped: int
    pushed: int
    delivered: int
    left: int


class Demo:
    """Everything on one machine, in this event loop; a `nsqgw.service` service."""

    name = "nsqgw demo"

    def __init__(self, settings: DemoSettings) -> None:
        self._settings = settings
        self.file = settings.data_dir / FILE_NAME
        self._records = RecordQueue()
        self._input: asyncio.Task[None] | None = None
        self._parts = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Start it all; NSQError in one line when something cannot be."""
        first = machine.read()
        logging.getLogger().addHandler(self._records)
        self._parts.callback(logging.getLogger().removeHandler, self._records)
        self.brokers = Brokers(self._settings.nsqd_tcp_addresses, self._settings.lookupd_http_address)
        self._parts.push_async_callback(self.brokers.stop)
        await self.brokers.start(TOPICS, _START_TIMEOUT)
        self._producer = Producer([nsqd.tcp_address for nsqd in self.brokers.nsqds], on_fact=note_quietly)
        await self._parts.enter_async_context(self._producer)
        self.ship, self.push = self._gateways()
        for gateway in (self.ship, self.push):
            self._parts.push_async_callback(gateway.stop)
            await gateway.start()
        await self.brokers.wait_consumed(channels=2, timeout=_START_TIMEOUT)
        self._input = asyncio.create_task(self._feed(first))
        print(self._announcement(), flush=True)

    async def wait_closed(self) -> None:
        """Until a gateway cannot go on, the input fails, or the time is up."""
        assert self._input is not None, "not started"
        work = [
            self._input,
            asyncio.create_task(self.ship.wait_closed()),
            asyncio.create_task(self.push.wait_closed()),
        ]
        try:
            done, _ = await asyncio.wait(
                work, timeout=self._settings.seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in work[1:]:
                task.cancel()
            await asyncio.gather(*work[1:], return_exceptions=True)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """End the input, let everything arrive, close, and say how far the messages got."""
        count: Count | None = None
        async with self._parts:
            if self._input is not None:
                count = await self._run_dry()
        if count is not None:
            print(self._summary(count), flush=True)
            if count.left:
                raise NSQError(f"{count.left} messages were not finished within {_EMPTY_TIMEOUT:g} s")

    def count(self) -> Count:
        """How far the messages got by now."""
        shipped = self.ship.pipeline.counters.finished.values() if self.ship.pipeline else ()
        return Count(
            published=self._producer.stats.published,
            shipped=sum(shipped),
            pushed=self.push.streamed,
            delivered=self.push.delivered,
            left=self.brokers.left(),
        )

    def ready(self) -> str | None:
        """None when both gateways are."""
        if self._input is None:
            return "the gateways are not connected yet"
        return self.ship.ready() or self.push.ready()

    def metrics(self) -> Iterable[Metric]:
        """Those of both gateways."""
        if self._input is None:
            return
        yield from self.ship.metrics()
        yield from self.push.metrics()

    def settings(self) -> dict[str, object]:
        """Those of both gateways."""
        if self._input is None:
            return {}
        return {"ship": self.ship.settings(), "push": self.push.settings()}

    def _gateways(self) -> tuple[ShipService, PushGateway]:
        lookupds = (self.brokers.lookupd.http_address,)
        ship = ShipService(
            ShipSettings(
                topics=TOPICS,
                channel=CHANNEL,
                sinks=(NamedSink(to=FileSettings(path=str(self.file))),),
                lookupd_http_addresses=lookupds,
                batch_max_age=_INPUT_INTERVAL,
            )
        )
        push = PushGateway(
            PushConfig(
                topics=TOPICS,
                listen=self._settings.listen,
                allow_hosts=self._settings.allow_hosts,
                lookupd_http_addresses=lookupds,
                limits=Limits(close_timeout=2.0),
                security=Security(allow_anonymous=True),  # figures of this machine, where --listen says
            ),
            static_pages("gateways.demo"),
        )
        return ship, push

    # -- the input

    async def _feed(self, first: machine.Reading) -> None:
        """Publish figures and log records, a few times a second, until cancelled."""
        readings = deque([first], maxlen=_AVERAGED + 1)
        for turn in itertools.count(1):
            await asyncio.sleep(_INPUT_INTERVAL)
            readings.append(machine.read())
            figures = machine.figures_between(readings[0], readings[-1])
            if turn % _REPORT_EVERY == 0:
                self._report(figures)
            await self._publish_figures(figures)
            await publish_records(self._records, self._producer, LOGS)

    async def _publish_figures(self, figures: machine.Figures) -> None:
        count = self.count()
        progress = {
            "published": count.published,
            "shipped": count.shipped,
            "pushed": count.pushed,
            "file": str(self.file),
            "file_bytes": self._file_bytes(),
        }
        message = {"time": time.time(), "host": os.uname().nodename, **figures, "demo": progress}
        try:
            await self._producer.publish(FIGURES, json.dumps(message).encode())
        except NSQError as error:
            logger.warning("figures were not published: %s", error)

    def _report(self, figures: machine.Figures) -> None:
        count = self.count()
        logger.info(
            "load %.2f, %d messages published, %d shipped, %d pushed",
            figures["load"][0],  # type: ignore[index]
            count.published,
            count.shipped,
            count.pushed,
        )

    # -- the end

    async def _run_dry(self) -> Count:
        """Stop the input and wait until the brokers have nothing left."""
        assert self._input is not None
        logging.getLogger().removeHandler(self._records)
        self._input.cancel()
        await asyncio.wait({self._input})
        await publish_records(self._records, self._producer, LOGS)
        await self._producer.stop()
        await self.brokers.wait_empty(_EMPTY_TIMEOUT)
        return self.count()

    # -- what people read

    def _announcement(self) -> str:
        admin = self._settings.admin_address
        nsqds = " and ".join(nsqd.tcp_address for nsqd in self.brokers.nsqds)
        return (
            f"page        http://{self.push.address}/\n"
            + (f"admin       http://{admin}/metrics\n" if admin else "")
            + f"file        {self.file}\n"
            f"nsqd        {nsqds}\n"
            f"nsqlookupd  {self.brokers.lookupd.http_address}\n"
            f"Ctrl-C ends it."
        )

    def _summary(self, count: Count) -> str:
        dropped = f", {self._records.dropped} log records dropped" if self._records.dropped else ""
        left = f"{count.left} left" if count.left else "none left"
        return (
            f"published {count.published}, shipped {count.shipped} to {self.file} "
            f"({self._file_bytes()} bytes), pushed {count.pushed} "
            f"({count.delivered} deliveries to browsers), {left}{dropped}"
        )

    def _file_bytes(self) -> int:
        try:
            return self.file.stat().st_size
        except OSError:
            return 0
