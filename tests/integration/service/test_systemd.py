"""What systemd hears of a service, by the socket it gives."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric

from harness.polling import eventually_async
from nsqgw.errors import NSQError
from nsqgw.service.lifecycle import serve


class Renewed:
    """A service that can be reloaded; the second time it cannot."""

    name = "test program"

    def __init__(self) -> None:
        self.reloads = 0
        self.stopped = False
        self.hold = asyncio.Event()
        self.hold.set()

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    async def reload(self) -> None:
        self.reloads += 1
        await self.hold.wait()
        if self.reloads == 2:
            raise NSQError("line 3 makes no sense")

    def ready(self) -> str | None:
        return "waiting for nsqd"

    def metrics(self) -> Iterable[Metric]:
        return ()

    def settings(self) -> dict[str, object]:
        return {}


class Systemd:
    """The other end of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._heard: list[str] = []

    @property
    def heard(self) -> list[str]:
        """All datagrams up to now, without signs of life."""
        while True:
            try:
                self._heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return [text.split("\n")[0] for text in self._heard if not text.startswith("WATCHDOG")]

    @property
    def alive(self) -> list[str]:
        """The signs of life."""
        assert self.heard is not None
        return [text for text in self._heard if text.startswith("WATCHDOG")]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    listener = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(listener.path))
    yield listener
    listener.close()


async def test_ready_reload_stop(systemd: Systemd, caplog: pytest.LogCaptureFixture) -> None:
    service = Renewed()
    life = asyncio.create_task(serve(service, admin_address=None, drain_timeout=5))
    await eventually_async(lambda: systemd.heard == ["READY=1"])
    for number in (1, 2):
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually_async(lambda number=number: len(systemd.heard) == 1 + 2 * number)
    assert systemd.heard == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]
    assert "test program: the old settings stay in force: line 3 makes no sense" in caplog.text
    os.kill(os.getpid(), signal.SIGTERM)
    assert await life == 0
    assert systemd.heard[-1] == "STOPPING=1"


async def test_signs_of_life_say_what_is_the_matter(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    life = asyncio.create_task(serve(Renewed(), admin_address=None, drain_timeout=5))
    await eventually_async(lambda: len(systemd.alive) >= 3)
    assert systemd.alive[0] == "WATCHDOG=1\nSTATUS=waiting for nsqd"
    os.kill(os.getpid(), signal.SIGTERM)
    assert await life == 0


async def test_a_watchdog_for_another_process_is_not_ours(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    life = asyncio.create_task(serve(Renewed(), admin_address=None, drain_timeout=5))
    await eventually_async(lambda: systemd.heard == ["READY=1"])
    os.kill(os.getpid(), signal.SIGTERM)
    assert await life == 0
    assert systemd.alive == []


async def test_a_signal_to_stop_ends_a_reload_that_hangs(systemd: Systemd) -> None:
    service = Renewed()
    service.hold.clear()
    life = asyncio.create_task(serve(service, admin_address=None, drain_timeout=5))
    await eventually_async(lambda: systemd.heard == ["READY=1"])
    os.kill(os.getpid(), signal.SIGHUP)
    await eventually_async(lambda: service.reloads == 1)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await life == 0
    assert service.stopped


async def test_a_signal_during_a_reload_is_not_forgotten(systemd: Systemd) -> None:
    service = Renewed()
    service.hold.clear()
    life = asyncio.create_task(serve(service, admin_address=None, drain_timeout=5))
    await eventually_async(lambda: systemd.heard == ["READY=1"])
    os.kill(os.getpid(), signal.SIGHUP)
    await eventually_async(lambda: service.reloads == 1)
    os.kill(os.getpid(), signal.SIGHUP)
    service.hold.set()
    await eventually_async(lambda: len(systemd.heard) == 5)
    assert service.reloads == 2
    os.kill(os.getpid(), signal.SIGTERM)
    assert await life == 0


async def test_a_socket_that_is_gone_is_told_of_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    life = asyncio.create_task(serve(Renewed(), admin_address=None, drain_timeout=5))
    await eventually_async(lambda: "systemd could not be told READY=1" in caplog.text)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await life == 0
