"""The log gateway as people run it: several pipelines, each a ShipService, and their configuration renewed.

A reload first tries what is new: a pipeline that works is not stopped for one that would not. Then it stops
those that changed (what they hold is delivered or given back), starts what takes their place, and leaves the
others alone. When that fails, the old configuration is put back; when that fails, too, the service ends:
whoever watches it starts it anew, and nothing looks alive that is not.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from gateways.ship.config import ShipConfig
from gateways.ship.replacement import check_replacement
from gateways.ship.service import ShipService
from gateways.ship.settings import ShipSettings
from gateways.ship.status import Running
from gateways.ship.tap import Taps
from nsqgw.errors import NSQError

if TYPE_CHECKING:
    from prometheus_client import Metric
    from tornado.routing import Rule

logger = logging.getLogger(__name__)


class ShipGateway:
    """Runs the pipelines of a configuration; see `nsqgw.service.lifecycle.Service` for its life.

    `load` reads the configuration anew for `reload`; it raises NSQError when that cannot be used.
    """

    name = "nsqgw ship"

    def __init__(
        self, config: ShipConfig, load: Callable[[], ShipConfig] | None = None, name: str = name
    ) -> None:
        self.name = name
        self.config = config
        self.reloads = {"done": 0, "failed": 0}
        self._load = load
        self._refused = False  # what the last reload read
        self._broken: Exception | None = None  # why the old configuration could not be put back
        self.taps = Taps(self._watch)
        self._running: dict[str, tuple[ShipSettings, ShipService]] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None

    @property
    def pipelines(self) -> tuple[tuple[ShipSettings, ShipService], ...]:
        """What runs now, with its settings."""
        return tuple(self._running.values())

    async def start(self) -> None:
        """Start every pipeline. Raises what the first one that fails does."""
        await asyncio.gather(*(self._start(settings) for settings in self.config.pipelines))
        interval = self.config.service.reload_interval
        if self._load is not None and interval:
            self._following = asyncio.create_task(self._follow(self._load, interval))

    async def wait_closed(self) -> None:
        """Until a pipeline cannot go on, or a reload left none to go on; raises why."""
        while self._broken is None:
            self._changed.clear()
            started = [service for _, service in self.pipelines if service.pipeline is not None]
            ends = [asyncio.create_task(service.wait_closed()) for service in started]
            changed = asyncio.create_task(self._changed.wait())
            try:
                done, _ = await asyncio.wait([*ends, changed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (*ends, changed):
                    task.cancel()
                await asyncio.gather(*ends, changed, return_exceptions=True)
            for task in done:
                task.result()
            if changed not in done:
                return
        raise self._broken

    async def stop(self) -> None:
        """Stop all pipelines, side by side: each has the whole drain for itself.

        Those that a reload was stopping, too: that it was cut short is no reason to cut their drain.
        """
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await asyncio.gather(*(service.stop() for _, service in self.pipelines), *self._stopping)

    async def reload(self) -> None:
        """Read the configuration anew and put it in force.

        Raises NSQError, with the old one in force, when it cannot be read or a pipeline of it does not start.
        """
        async with self._reloading:
            try:
                await self._reload()
            except BaseException:
                self.reloads["failed"] += 1
                self._refused = True
                raise
            self.reloads["done"] += 1
            self._refused = False

    def ready(self) -> str | None:
        """Not ready while one of the pipelines is not; names it when there are several."""
        if not self._running:
            return "starting"
        troubles = {settings.name: service.ready() for settings, service in self.pipelines}
        told = [
            trouble if len(troubles) == 1 else f"pipeline {name}: {trouble}"
            for name, trouble in troubles.items()
            if trouble is not None
        ]
        return "; ".join(told) or None

    def metrics(self) -> Iterable[Metric]:
        """The figures of all pipelines, and of the reloads."""
        from gateways.ship.metrics import reload_metrics, ship_metrics  # needs the extra `gateways`

        yield from ship_metrics(self.running())
        yield from reload_metrics(self.reloads, self._refused)

    def running(self) -> list[Running]:
        """The pipelines that were started, with what is to be known of them."""
        return [running for _, service in self.pipelines if (running := service.running()) is not None]

    def admin_routes(self) -> Sequence[Rule]:
        """/status for `nsqgw ship top`, /tap for `nsqgw ship tap`."""
        from gateways.ship.admin_pages import admin_pages  # needs the extra `gateways`

        return admin_pages(self)

    def settings(self) -> dict[str, object]:
        """What is in force."""
        return self.config.shown()

    # -- one pipeline

    def _watch(self) -> None:
        """Show what passes to those who watch; nothing at all when nobody does."""
        for name, pipeline, *_ in self.running():
            pipeline.watch(functools.partial(self.taps.show, name) if self.taps.watched else None)

    async def _start(self, settings: ShipSettings) -> None:
        service = ShipService(settings)
        self._running[settings.name] = settings, service  # before its start: a failed one is stopped, too
        await service.start()
        self._watch()
        self._changed.set()

    async def _stop(self, name: str) -> None:
        settings, service = self._running.pop(name)
        self._changed.set()
        stopping = asyncio.create_task(service.stop())
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)
        await asyncio.shield(stopping)
        logger.info("pipeline %s stopped", settings.name)

    # -- the configuration

    async def _follow(self, load: Callable[[], ShipConfig], interval: float) -> None:
        """Reload when the file, or a secret in it, says something else. A bad one is told once"""
        in_force: ShipConfig | str = self.config
        while True:
            await asyncio.sleep(interval)
            found: ShipConfig | str
            try:
                found = await asyncio.to_thread(load)
            except Exception as error:  # noqa: BLE001  # the reload that follows tells of it
                found = str(error)
            if found == in_force:
                continue
            try:
                await self.reload()
            except (NSQError, OSError) as error:
                logger.error("the old settings stay in force: %s", error)
                if isinstance(found, ShipConfig):
                    continue  # it may be that a sink of it is down: tried again
            except Exception:  # a mistake of ours: what runs goes on
                logger.exception("%s: the reload failed", self.name)
            else:
                logger.info("the changed configuration is in force")
            in_force = found

    async def _reload(self) -> None:
        if self._load is None:
            logger.info("there is no configuration file to read again; flags are in force until the end")
            return
        before, config = self.config, await asyncio.to_thread(self._load)
        await check_replacement(config, dict(self._running))
        try:
            await self._apply(config)
        except Exception as error:
            logger.warning("going back to the old configuration: %s", error)
            await self._put_back(before)
            raise
        self.config = config
        if config.service != before.service:
            logger.warning("what changed in [service] takes effect at the next start")

    async def _put_back(self, config: ShipConfig) -> None:
        """Make what ran before the reload run again, or have the service end."""
        try:
            await self._apply(config)
        except Exception as error:
            logger.error("the old configuration does not start any more, either: %s", error)
            self._broken = error
            self._changed.set()
            raise

    async def _apply(self, config: ShipConfig) -> None:
        """Make what runs equal to `config`: first make room, then start."""
        wanted = {settings.name: settings for settings in config.pipelines}
        running = {settings.name: settings for settings, _ in self.pipelines}
        leaving = [name for name, settings in running.items() if wanted.get(name) != settings]
        await asyncio.gather(*(self._stop(name) for name in leaving))
        coming = [settings for name, settings in wanted.items() if name not in self._running]
        for settings in coming:
            await self._start(settings)
        kept = len(wanted) - len(coming)
        logger.info("pipelines: %d kept, %d stopped, %d started", kept, len(leaving), len(coming))
