"""A service inside a loop that runs already."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable

import pytest
from prometheus_client import Metric

from nsqgw.service.lifecycle import serve


class Service:
    name = "test service"

    def __init__(self, mistake: Exception | None = None) -> None:
        self.started = asyncio.Event()
        self.stopped = 0
        self._mistake = mistake

    async def start(self) -> None:
        self.started.set()

    async def wait_closed(self) -> None:
        if self._mistake is not None:
            raise self._mistake
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped += 1

    def ready(self) -> str | None:
        return None

    def metrics(self) -> Iterable[Metric]:
        return ()

    def settings(self) -> dict[str, object]:
        return {}


async def test_a_signal_drains_and_the_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    service = Service()
    serving = asyncio.create_task(serve(service, admin_address=None, drain_timeout=10.0))
    await service.started.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(serving, 10) == 0
    assert service.stopped == 1
    assert signal.getsignal(signal.SIGTERM) is before


async def test_a_mistake_in_the_service_still_stops_it() -> None:
    service = Service(RuntimeError("a mistake"))
    with pytest.raises(RuntimeError, match="a mistake"):
        await serve(service, admin_address=None, drain_timeout=10.0)
    assert service.stopped == 1


async def test_cancelled_it_stops_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    service = Service()
    serving = asyncio.create_task(serve(service, admin_address=None, drain_timeout=10.0))
    await service.started.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert service.stopped == 1
    assert capsys.readouterr().err == ""
