"""The watcher as a service: polls nsqlookupds, and tells what changes on stdout, to a topic and over HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from gateways.topology.inquiry import Inquiry
from gateways.topology.server import TopologyServer
from gateways.topology.views import SETTLE, Views
from nsqgw.deadline import within
from nsqgw.errors import ConfigError, DiscoveryError, NSQError
from nsqgw.http.clients import LookupdHttpAsync
from nsqgw.protocol.names import check_topic
from nsqgw.service.hosts import AllowedHosts
from nsqgw.service.lane import Lane
from nsqgw.service.settings import mask_url, parse_address
from nsqgw.service.topology_publisher import TopologyPublisher
from nsqgw.topology.cluster import diff
from nsqgw.topology.journal import Journal
from nsqgw.topology.reader import JournalReader

if TYPE_CHECKING:
    from prometheus_client import Metric

logger = logging.getLogger(__name__)

_IDLE = 3600.0


@dataclass(frozen=True, kw_only=True)
class WatcherConfig:
    """What to watch and where to tell it; times are seconds. Raises ConfigError for what makes no sense.

    lookupd_http_addresses  the nsqlookupds; what they know is joined
    poll_interval           pause between two looks at all of them
    poll_timeout            for one nsqlookupd to say all it knows
    settle                  what vanished is told only after it was away for so long
    topic                   where events are published; empty for nowhere
    nsqd_tcp_addresses      on which nsqds; by default one of those found
    listen                  host:port for /topology and /topology/stream; empty for none
    allow_hosts             names that port answers to, beside its own
    stdout                  write events to standard output, one a line
    """

    lookupd_http_addresses: tuple[str, ...]
    poll_interval: float = 2.0
    poll_timeout: float = 5.0
    settle: float = SETTLE
    topic: str = ""
    nsqd_tcp_addresses: tuple[str, ...] = ()
    listen: str = ""
    allow_hosts: tuple[str, ...] = ()
    stdout: bool = False

    def __post_init__(self) -> None:
        if not self.lookupd_http_addresses:
            raise ConfigError("no nsqlookupd given: set lookupd_http_addresses")
        for name, least in (("poll_interval", 0.01), ("poll_timeout", 0.01), ("settle", 0.0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} = {getattr(self, name)!r}: it must be at least {least:g}")
        if self.topic:
            check_topic(self.topic)
        elif self.nsqd_tcp_addresses:
            raise ConfigError("nsqd_tcp_addresses is of no use without a topic")
        if self.listen:
            parse_address(self.listen)

    def shown(self) -> dict[str, object]:
        """As a document for people, without secrets in URLs."""
        return {**asdict(self), "lookupd_http_addresses": [*map(mask_url, self.lookupd_http_addresses)]}


class Watcher:
    """A `nsqgw.service` service: make it, `start`, `stop`. Wrong settings raise ConfigError here."""

    name = "nsqgw topology"

    def __init__(self, config: WatcherConfig) -> None:
        self.journal = Journal()
        self._config = config
        clients = map(LookupdHttpAsync, dict.fromkeys(config.lookupd_http_addresses))
        self._inquiries = {str(client.address): Inquiry(client) for client in clients}
        self._views = Views(config.settle)
        self._problems: dict[str, str] = {}
        self._server: TopologyServer | None = None
        if config.listen:
            self._server = TopologyServer(self.journal, AllowedHosts(config.listen, config.allow_hosts))
        self._publisher: TopologyPublisher | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Look once, then listen; DiscoveryError when no nsqlookupd answers, ListenFailed likewise."""
        await self._poll()
        if len(self._problems) == len(self._inquiries):
            raise DiscoveryError(f"no nsqlookupd answers: {'; '.join(self._problems.values())}")
        if self._server is not None:
            self._server.listen(self._config.listen)
            logger.info("topology on http://%s/topology/stream", self._server.address)
        if self._config.topic:
            self._publisher = TopologyPublisher(
                self.journal,
                self._config.topic,
                self._config.nsqd_tcp_addresses,
                () if self._config.nsqd_tcp_addresses else self._config.lookupd_http_addresses,
            )
            self._publisher.start()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep_polling())]
        if self._config.stdout:
            self._tasks.append(loop.create_task(self._write_lines()))

    async def stop(self) -> None:
        """End everything at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._publisher is not None:
            await self._publisher.stop()
        if self._server is not None:
            await self._server.close()

    async def wait_closed(self) -> None:
        """Until whoever reads standard output has left."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    @property
    def address(self) -> str:
        """The `host:port` of the HTTP port; empty without one."""
        return self._server.address if self._server is not None else ""

    def ready(self) -> str | None:
        """None while an nsqlookupd answers."""
        if len(self._problems) < len(self._inquiries):
            return None
        return f"no nsqlookupd answers: {'; '.join(self._problems.values())}"

    def metrics(self) -> Iterable[Metric]:
        """See `feed_metrics` and `watcher_metrics`."""
        from nsqgw.service import topology_metrics as metrics  # needs the extra `gateways`

        streams = self._server.streams if self._server is not None else None
        yield from metrics.watcher_metrics(self.journal, len(self._problems))
        yield from metrics.feed_metrics(self.journal, streams, self._publisher)

    def settings(self) -> dict[str, object]:
        """The settings in force."""
        return self._config.shown()

    async def _keep_polling(self) -> None:
        while True:
            await asyncio.sleep(self._config.poll_interval)
            await self._poll()

    async def _poll(self) -> None:
        await asyncio.gather(*(self._ask(name, inquiry) for name, inquiry in self._inquiries.items()))
        merged = self._views.merge(asyncio.get_running_loop().time())
        self.journal.record(diff(self.journal.cluster, merged))

    async def _ask(self, lookupd: str, inquiry: Inquiry) -> None:
        problem = ""
        try:
            cluster = await within(self._config.poll_timeout, inquiry.ask())
        except asyncio.TimeoutError:
            problem = f"{lookupd}: did not say all it knows within {self._config.poll_timeout:g} s"
        except NSQError as error:
            problem = str(error)
        except Exception as error:  # a mistake of ours must not end the watch
            logger.exception("asking nsqlookupd %s failed", lookupd)
            problem = f"{lookupd}: {error!r}"
        else:
            self._views.answered(lookupd, cluster, asyncio.get_running_loop().time())
        if problem and lookupd not in self._problems:
            logger.warning("nsqlookupd %s; its last word stands", problem)
        elif not problem and self._problems.pop(lookupd, None) is not None:
            logger.info("nsqlookupd %s answers again", lookupd)
        if problem:
            self._problems[lookupd] = problem

    async def _write_lines(self) -> None:
        """Write events until nobody reads them. In a thread: a full pipe must hold up nothing else."""
        lane = Lane("topology-stdout")
        missed = 0
        try:
            with JournalReader(self.journal) as reader:
                while True:
                    entries = await reader.read(_IDLE)
                    if reader.missed > missed:
                        logger.warning("stdout is slow: %d events dropped", reader.missed - missed)
                        missed = reader.missed
                    lines = b"".join(entry.data + b"\n" for entry in entries)
                    await lane.submit(partial(_write, lines))
        except OSError as error:
            logger.info("stdout was closed by its reader: %s", error)
        finally:
            lane.close()


def _write(data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.write(sys.stdout.fileno(), memoryview(data)[written:])
