"""The process of a worker, seen from the supervisor: started, looked at, started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import Sequence
from typing import Any

from gateways.push.merged_metrics import Figures
from gateways.push.worker import Worker
from nsqgw.deadline import within
from nsqgw.errors import NSQError
from nsqgw.service.listen import remove_socket

logger = logging.getLogger(__name__)

LOOK_INTERVAL = 1.0
_ANSWER_TIMEOUT = 5.0
_HUNG_AFTER = 30.0
"""Seconds without an answer; then the process is killed."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LIVED_WELL = 60.0
"""Seconds; a death after so long says nothing about the next life."""
_MAX_ANSWER_BYTES = 64 * 1024 * 1024


class WorkerFailed(NSQError):
    """A worker does not even start."""


class WorkerProcess:
    """Runs `command` as `worker` until `stop`."""

    def __init__(self, worker: Worker, command: Sequence[str]) -> None:
        self.worker = worker
        self.trouble: str | None = "starting"
        """Why it does not do its work; None when it does."""
        self.figures = Figures()
        """Its metrics, as they were at the last look."""
        self.stats: dict[str, Any] | None = None
        self.restarts = 0
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._answered_at = 0.0
        self.serving = False
        """Whether it was ready once since it runs."""
        self._ever_served = False

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process is not None else None

    async def run(self) -> None:
        """Keep it running; raises WorkerFailed when it ends before it has ever served."""
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            born = clock()
            code = await self._live()
            self.trouble, self.stats = f"ended with exit code {code}", None
            if self._stopping.is_set():
                return
            if not self._ever_served:
                raise WorkerFailed(f"process {self.worker.number} ended with exit code {code} while starting")
            pause = _FIRST_PAUSE if clock() - born > _LIVED_WELL else min(2 * pause, _LONGEST_PAUSE)
            self.restarts += 1
            logger.error("process %d %s, it starts again in %gs", self.worker.number, self.trouble, pause)
            with contextlib.suppress(asyncio.TimeoutError):
                await within(pause, self._stopping.wait())

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def stop(self) -> None:
        """Let it drain; `run` returns when it is gone."""
        self._stopping.set()
        self.send(signal.SIGTERM)

    async def _live(self) -> int:
        """One life; its exit code."""
        remove_socket(self.worker.admin)  # a killed one left it
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            env=self.worker.environment(),
            start_new_session=True,  # signals of a terminal come through us
        )
        self._answered_at = asyncio.get_running_loop().time()
        self.serving = False
        if self._stopping.is_set():
            self.send(signal.SIGTERM)
        watching = asyncio.create_task(self._watch())
        try:
            return await self._process.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            if self._process.returncode is None:
                self.send(signal.SIGKILL)
                await self._process.wait()
            self._process, self.serving = None, False
            self.figures.end()

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(LOOK_INTERVAL if self.serving else LOOK_INTERVAL / 10)
            try:
                await within(_ANSWER_TIMEOUT, self._look())
            except (OSError, ValueError, asyncio.TimeoutError) as error:
                if self.serving:
                    self.trouble = f"does not answer ({type(error).__name__})"
                if clock() - self._answered_at > _HUNG_AFTER:
                    logger.error("process %d hangs and is killed", self.worker.number)
                    self.send(signal.SIGKILL)
            else:
                self._answered_at = clock()

    async def _look(self) -> None:
        status, text = await self._get("/ready")
        self.trouble = None if status == 200 else text.strip()
        _, text = await self._get("/metrics")
        self.figures.look(text)
        _, text = await self._get("/stats")
        self.stats = json.loads(text)
        if status == 200:
            self.serving = self._ever_served = True

    async def disconnect(self, query: str) -> int:
        """Have it send clients off, and say how many; none where it does not answer."""
        try:
            _, text = await within(_ANSWER_TIMEOUT, self._get(f"/disconnect?{query}", "POST"))
            return int(json.loads(text)["disconnected"])
        except (OSError, ValueError, KeyError, asyncio.TimeoutError) as error:
            logger.error("process %d was not asked to disconnect: %r", self.worker.number, error)
            return 0

    async def _get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Ask its admin port: the status and the body."""
        reader, writer = await asyncio.open_unix_connection(self.worker.admin, limit=_MAX_ANSWER_BYTES)
        try:
            writer.write(f"{method} {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), body.decode()
        except IndexError as error:
            raise ValueError("no answer") from error
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
