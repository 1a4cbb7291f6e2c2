"""Several processes on one port as one gateway: a supervisor, and workers that share the browsers.

Each worker is a whole gateway that listens with SO_REUSEPORT and has, unless the channel is named, a channel
of its own, so each gets every message. The supervisor starts them again when they die, passes SIGHUP on, ends
them in order, and answers for all of them on the admin port. It handles no browser itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from gateways.push.config import PushConfig
from gateways.push.statistics import Statistics, joined
from gateways.push.worker import Worker
from gateways.push.worker_process import WorkerProcess
from nsqgw.service.listen import bound_address, listen

if TYPE_CHECKING:
    from prometheus_client import Metric
    from tornado.routing import Rule

logger = logging.getLogger(__name__)

_READY_INTERVAL = 0.05


class PushProcesses:
    """`count` workers, each by `command`; a service as `nsqgw.service.lifecycle` runs it.

    `load` reads the settings anew, to find out whether the workers can.
    """

    name = "nsqgw push"

    def __init__(
        self,
        config: PushConfig,
        count: int,
        command: Sequence[str],
        load: Callable[[], PushConfig] | None = None,
    ) -> None:
        self._config = config
        self._count = count or os.cpu_count() or 1
        self._command = command
        self._load = load
        self._reserved: list[socket.socket] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._workers: list[WorkerProcess] = []
        self._lives: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the workers, and wait until all serve. Raises ListenFailed, or WorkerFailed."""
        address = self._reserve()
        self._folder = tempfile.TemporaryDirectory(prefix="nsqgw-push-")
        for number in range(1, self._count + 1):
            worker = Worker(number, address, str(Path(self._folder.name) / f"{number}.sock"))
            self._workers.append(WorkerProcess(worker, self._command))
        self._lives = [asyncio.create_task(worker.run()) for worker in self._workers]
        while any(worker.trouble is not None for worker in self._workers):
            for life in self._lives:
                if life.done():
                    life.result()
            await asyncio.sleep(_READY_INTERVAL)
        logger.info("%d processes on http://%s", self._count, address)

    async def wait_closed(self) -> None:
        """Until a worker cannot even start; raises WorkerFailed."""
        done, _ = await asyncio.wait(self._lives, return_when=asyncio.FIRST_COMPLETED)
        for life in done:
            life.result()

    async def reload(self) -> None:
        """Have the workers read the settings anew; raises NSQError when they could not use them."""
        if self._load is not None:
            config = await asyncio.to_thread(self._load)
            if config.listen != self._config.listen:  # the workers are told theirs, and would not notice
                logger.warning("the port for browsers, %s, is opened at the next start", config.listen)
            self._config = config
        for worker in self._workers:
            worker.send(signal.SIGHUP)

    async def stop(self) -> None:
        """Let all workers drain, side by side; those that do not end when this is cancelled are killed."""
        try:
            for worker in self._workers:
                worker.stop()
            if self._lives:
                await asyncio.wait(self._lives)
        finally:
            for life in self._lives:
                life.cancel()  # kills its process, and waits for that
            await asyncio.gather(*self._lives, return_exceptions=True)
            for sock in self._reserved:
                sock.close()
            if self._folder is not None:
                self._folder.cleanup()

    def ready(self) -> str | None:
        """Ready while every process that has begun to serve does so; those that start again are not asked."""
        serving = {each.worker.number: each.trouble for each in self._workers if each.serving}
        if not serving:
            return "no process serves"
        troubles = [f"process {number}: {trouble}" for number, trouble in serving.items() if trouble]
        return "; ".join(troubles) or None

    def metrics(self) -> Iterable[Metric]:
        """Those of the workers as one, and how they live."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        from gateways.push.merged_metrics import merged  # needs the extra `gateways`

        running = sum(worker.pid is not None for worker in self._workers)
        yield GaugeMetricFamily("nsqgw_push_processes", "Processes that run.", running)
        restarts = CounterMetricFamily("nsqgw_push_process_restarts", "Processes started again.")
        restarts.add_metric((), sum(worker.restarts for worker in self._workers))
        yield restarts
        for metric in merged({each.worker.number: each.figures for each in self._workers}):
            if not metric.name.startswith("nsqgw_build"):  # the supervisor tells it already
                yield metric

    def statistics(self, channel: str | None = None) -> Statistics:
        """Those of all processes as one, as they were at the last look."""
        whole = joined(worker.stats for worker in self._workers if worker.stats is not None)
        if channel is not None:
            whole["channels"] = [each for each in whole["channels"] if each["channel"] == channel]
        return whole

    def admin_routes(self) -> Sequence[Rule]:
        """/stats and /disconnect."""
        from gateways.push.access.admin_pages import access_pages
        from gateways.push.admin_pages import stats_page  # needs the extra `gateways`

        return [stats_page(self.statistics), *access_pages(self)]

    async def disconnect(self, **given: str | None) -> int:
        """Send off those who fit all that is given, in every process; how many."""
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return sum(await asyncio.gather(*(worker.disconnect(query) for worker in self._workers)))

    def settings(self) -> dict[str, object]:
        """The settings in force."""
        return {**self._config.shown(), "processes": self._count}

    def _reserve(self) -> str:
        """Hold the port, without listening, so that it stays ours and every worker has the same.

        Listening alone, for a moment, finds out whether another program does.
        """
        alone = listen(self._config.listen, flag="--listen")
        address = bound_address(alone)
        for sock in alone:
            shared = socket.socket(sock.family, socket.SOCK_STREAM)
            name = sock.getsockname()
            sock.close()
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._reserved.append(shared)
            shared.bind(name)
        return address
