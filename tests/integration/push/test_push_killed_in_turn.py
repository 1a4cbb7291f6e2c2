"""nsqd, Redis and gateways killed in turn under traffic, browsers alternating between two gateways.

Every message once, or a gap where it is missing: no silent loss, nothing twice, and in the end all browsers
get what is published. `PUSH_KILLS` sets the rounds; `make soak` takes many.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.command import Nsqgw
from harness.http import post
from harness.polling import eventually_async
from harness.private_server import RedisServer
from harness.real import RealNsqd
from harness.resuming import Resuming

ROUNDS = int(os.environ.get("PUSH_KILLS", "1"))
PAUSE = 0.4
"""Seconds of traffic between two blows."""
TIMEOUT = 60.0
BROWSERS = 6


class Load:
    """Publishes numbers one after the other, and keeps those that nsqd has confirmed."""

    def __init__(self, nsqd: RealNsqd) -> None:
        self._nsqd = nsqd
        self._next = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.confirmed: list[int] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(TIMEOUT)

    def _run(self) -> None:
        while not self._ended.wait(0.003):
            number, self._next = self._next, self._next + 1
            with contextlib.suppress(OSError, AssertionError):  # it is being killed: perhaps published
                if post(self._nsqd.http_address, "/pub?topic=events", b"%d" % number).body == b"OK":
                    self.confirmed.append(number)


class Gateways:
    """Two gateway processes of the same settings, on ports that stay theirs."""

    def __init__(self, folder: Path, nsqd: RealNsqd, *flags: str) -> None:
        self._folder = folder
        self._flags = (
            "--topic=events",
            f"--nsqd-tcp-address={nsqd.tcp_address}",
            "--admin-address=",
            *flags,
        )
        self.addresses = ["127.0.0.1:0", "127.0.0.1:0"]
        self._running: list[Nsqgw | None] = [None, None]

    def start(self, place: int) -> None:
        gateway = Nsqgw(self._folder, "push", f"--listen={self.addresses[place]}", *self._flags)
        self._running[place] = gateway
        self.addresses[place] = gateway.wait_for(r"streaming events on \"?http://([0-9.:]+)")

    def kill(self, place: int) -> None:
        gateway = self._running[place]
        if gateway is not None:
            gateway.send(signal.SIGKILL)
            gateway.wait()
            gateway.__exit__(None, None, None)
            self._running[place] = None

    def close(self) -> None:
        for place in (0, 1):
            self.kill(place)


@contextlib.asynccontextmanager
async def browsing(addresses: list[str]) -> AsyncIterator[list[Resuming]]:
    browsers = [Resuming(addresses, "events", first) for first in range(BROWSERS)]
    tasks = [asyncio.create_task(browser.run()) for browser in browsers]
    try:
        await eventually_async(lambda: all(browser.connections for browser in browsers), TIMEOUT)
        yield browsers
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


async def restless(browsers: list[Resuming], seconds: float) -> None:
    """Some browsers change the gateway meanwhile."""
    ends = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < ends:
        await random.choice(browsers).move()
        await asyncio.sleep(0.05)


class Witness:
    """Looks at what browsers have after each blow: all that was published since the last look, or a gap."""

    def __init__(self, browsers: list[Resuming], load: Load) -> None:
        self._browsers = browsers
        self._load = load
        self._since = dict.fromkeys(browsers, load.confirmed[-1])
        self._gaps = {browser: browser.gaps for browser in browsers}

    async def look(self) -> None:
        """Each browser has got what was published until now, or was told of a gap; and it gets what comes."""
        until = self._load.confirmed[-1]
        with contextlib.suppress(AssertionError):
            await eventually_async(lambda: not self._silent(until), TIMEOUT)
        assert not self._silent(until), "messages are missing, and no gap was told"
        start = self._load.confirmed[-1]
        await eventually_async(lambda: all(b.got and b.got[-1] > start for b in self._browsers), TIMEOUT)
        for browser in self._browsers:
            # a gap may come after `until`, and is for everything before the message that followed it
            torn = browser.gaps != self._gaps[browser]
            self._since[browser] = browser.got[-1] if torn else until
            self._gaps[browser] = browser.gaps

    def _silent(self, until: int) -> list[set[int]]:
        """What browsers lack that were told of nothing."""
        lacks = []
        for browser in self._browsers:
            if browser.gaps == self._gaps[browser]:
                since = self._since[browser]
                due = {number for number in self._load.confirmed if since < number <= until}
                lacks.append(due.difference(browser.got))
        return [numbers for numbers in lacks if numbers]


@pytest.fixture
def nsqd(redis: RedisServer | None) -> Iterator[RealNsqd]:
    # of an ephemeral channel, nsqd drops what has no place in memory; of a durable one it loses what has
    memory = 10_000 if redis is None else 0
    with closing(RealNsqd(mem_queue_size=memory, sync_every=1, msg_timeout=2.0)) as running:
        running.start()
        yield running


@pytest.fixture(params=["memory", "redis"])
def redis(request: pytest.FixtureRequest) -> Iterator[RedisServer | None]:
    if request.param == "memory":
        yield None
        return
    with closing(RedisServer()) as server:
        server.start()
        yield server


@pytest.mark.real
async def test_no_silent_loss(nsqd: RealNsqd, redis: RedisServer | None, tmp_path: Path) -> None:
    flags = [] if redis is None else [f"--redis-url={redis.url}"]
    with closing(Gateways(tmp_path, nsqd, *flags)) as gateways, Load(nsqd) as load:
        for place in (0, 1):
            await asyncio.to_thread(gateways.start, place)
        async with browsing(gateways.addresses) as browsers:
            await eventually_async(lambda: all(browser.got for browser in browsers), TIMEOUT)
            witness = Witness(browsers, load)
            for number in range(ROUNDS):
                await _blows(nsqd, redis, gateways, number % 2, browsers, witness)
    for browser in browsers:
        assert len(set(browser.got)) == len(browser.got)


async def _blows(
    nsqd: RealNsqd,
    redis: RedisServer | None,
    gateways: Gateways,
    place: int,
    browsers: list[Resuming],
    witness: Witness,
) -> None:
    """Each part once, with traffic and wandering browsers between."""
    await restless(browsers, PAUSE)
    await witness.look()
    await asyncio.to_thread(gateways.kill, place)
    await restless(browsers, PAUSE)
    await asyncio.to_thread(gateways.start, place)
    await witness.look()
    if redis is not None:
        await asyncio.to_thread(redis.kill)
        await restless(browsers, PAUSE)
        await asyncio.to_thread(redis.start)
        await witness.look()
    await asyncio.to_thread(nsqd.stop)
    await restless(browsers, PAUSE)
    await asyncio.to_thread(nsqd.start)
    await witness.look()
