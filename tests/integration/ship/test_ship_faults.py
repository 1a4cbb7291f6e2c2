"""`nsqgw ship` killed at random moments, cut off from nsqd, refused until a reload, its clock jumping.

`GATEWAY_KILLS` says how often it is killed; `make ship-kills` takes a hundred.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tornado.web import RequestHandler

from gateways.ship.config_file import load_config
from gateways.ship.gateway import ShipGateway
from harness.command import Nsqgw
from harness.daemons import Daemon
from harness.embedded import EmbeddedNsqd
from harness.http import channel_stats, post
from harness.polling import eventually, eventually_async
from harness.proxy import Proxy
from harness.real import RealNsqd
from harness.sinks import LogService

KILLS = int(os.environ.get("GATEWAY_KILLS", "3"))
HOUR = 3600.0
EACH = 1000
"""Events published at a time."""

CONFIG = """\
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]
[service]
admin_address = ""
drain_timeout = "1s"
[[pipeline]]
topics = ["events"]
channel = "archive"
sinks = ["out"]
max_in_flight = 100
batch.max_messages = 10
[sink.out]
"""


@pytest.fixture
def nsqd() -> Iterator[EmbeddedNsqd]:
    with closing(EmbeddedNsqd(msg_timeout=2.0)) as daemon:
        daemon.start()
        yield daemon


@pytest.fixture
async def service() -> AsyncIterator[LogService]:
    started = LogService()
    yield started
    await started.close()


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Path]:
    """Writes a config file: from an nsqd's address to a sink, given by its lines."""

    def write(nsqd: str, *sink: str) -> Path:
        file = tmp_path / "ship.toml"
        file.write_text(CONFIG.format(nsqd=nsqd) + "\n".join(sink) + "\n")
        return file

    return write


def numbered(first: int, last: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, last)]


def publish(nsqd: Daemon, first: int, last: int) -> None:
    assert post(nsqd.http_address, "/mpub?topic=events", b"\n".join(numbered(first, last))).body == b"OK"


def is_done(nsqd: Daemon) -> bool:
    figures = channel_stats(nsqd.http_address, "events", "archive")
    return not any(figures[name] for name in ("depth", "in_flight_count", "deferred_count"))


@pytest.mark.real
@pytest.mark.timeout(60 + 5 * KILLS)
def test_killed_at_random_moments_it_loses_nothing(configured: Callable[..., Path], tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choices = random.Random(seed)
    out = tmp_path / "out"
    with closing(RealNsqd(msg_timeout=2.0)) as nsqd:
        nsqd.start()
        config = configured(nsqd.tcp_address, 'type = "file"', f'path = "{out}"')
        for round_ in range(KILLS):
            publish(nsqd, EACH * round_, EACH * (round_ + 1))
            before = out.stat().st_size if out.exists() else 0
            with Nsqgw(tmp_path, "ship", f"-config={config}") as gateway:
                eventually(lambda size=before: out.exists() and out.stat().st_size > size)
                time.sleep(choices.uniform(0.0, 0.05))  # the moment
                gateway.send(signal.SIGKILL)
                gateway.wait()
        publish(nsqd, EACH * KILLS, EACH * KILLS + 1)  # so that the channel is there, whatever came through
        with Nsqgw(tmp_path, "ship", f"-config={config}") as gateway:
            eventually(lambda: is_done(nsqd), 30.0)
            assert gateway.terminate() == 0
    counts = Counter(out.read_bytes().splitlines())
    expected = set(numbered(0, EACH * KILLS + 1))
    assert expected <= set(counts), "what a kill tore is there once more, whole"
    duplicates = sum(counts[number] - 1 for number in expected)
    print(f"{duplicates} of {len(expected)} came twice in {KILLS} kills")
    assert duplicates <= 100 * KILLS


async def test_connections_to_nsqd_that_are_cut_lose_nothing(
    nsqd: EmbeddedNsqd, configured: Callable[..., Path], service: LogService
) -> None:
    async with Proxy(nsqd.tcp_address) as proxy:
        config = load_config(configured(proxy.address, 'type = "http"', f'url = "{service.url}"'))
        gateway = ShipGateway(config, lambda: config)
        publish(nsqd, 0, EACH)
        await gateway.start()
        for cut in range(1, 4):
            before, accepted = len(service.lines), proxy.accepted
            publish(nsqd, EACH * cut, EACH * (cut + 1))
            await eventually_async(lambda before=before: len(service.lines) > before)
            proxy.reset()
            await eventually_async(lambda accepted=accepted: proxy.accepted > accepted)
        await eventually_async(lambda: is_done(nsqd))
        await gateway.stop()
    counts = Counter(service.lines)
    assert set(counts) == set(numbered(0, 4 * EACH))
    assert counts.total() - len(counts) <= 3 * 100, "only what was in hand at a cut"


async def test_a_token_mended_by_a_reload_lets_everything_pass(
    nsqd: EmbeddedNsqd, configured: Callable[..., Path], service: LogService
) -> None:
    taken: list[bytes] = []

    def ask(handler: RequestHandler) -> None:
        if handler.request.headers["Authorization"] == "Bearer right":
            taken.extend(handler.request.body.splitlines())
        else:
            handler.send_error(401)

    service.respond = ask
    file = configured(nsqd.tcp_address, 'type = "http"', f'url = "{service.url}"', 'bearer_token = "wrong"')
    gateway = ShipGateway(load_config(file), lambda: load_config(file))
    publish(nsqd, 0, EACH)
    await gateway.start()
    await eventually_async(lambda: service.requests)
    assert not is_done(nsqd)
    file.write_text(file.read_text().replace("wrong", "right"))
    await gateway.reload()
    await eventually_async(lambda: is_done(nsqd))
    await gateway.stop()
    assert Counter(taken) == Counter(numbered(0, EACH))


async def test_jumps_of_the_wall_clock_hold_nothing_up(
    nsqd: EmbeddedNsqd,
    configured: Callable[..., Path],
    service: LogService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An hour forth and two back, before batches, during a pause between tries, and with messages in hand."""
    real, offset = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + offset)
    taken: list[bytes] = []
    refusals = 0

    def take(handler: RequestHandler) -> None:
        nonlocal refusals, offset
        if refusals:
            refusals -= 1
            handler.set_status(503)
            offset = -offset  # in the middle of a try
        else:
            taken.extend(handler.request.body.splitlines())

    service.respond = take
    config = load_config(configured(nsqd.tcp_address, 'type = "http"', f'url = "{service.url}"'))
    gateway = ShipGateway(config, lambda: config)
    await gateway.start()
    for round_, offset in enumerate((HOUR, -HOUR, 0.0)):  # noqa: B007
        refusals = 1
        publish(nsqd, EACH * round_, EACH * (round_ + 1))
        await eventually_async(lambda count=EACH * (round_ + 1): len(taken) >= count)
    await eventually_async(lambda: is_done(nsqd))
    await gateway.stop()
    assert Counter(taken) == Counter(numbered(0, 3 * EACH))
