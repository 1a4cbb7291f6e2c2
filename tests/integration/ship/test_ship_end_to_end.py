"""`nsqgw ship` as a process on our broker: stopped, killed, refused in the middle, and nothing is missing."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tornado.web import RequestHandler

from harness.command import Nsqgw
from harness.daemons import Daemon
from harness.embedded import EmbeddedNsqd
from harness.polling import eventually, eventually_async
from harness.real import RealNsqd
from harness.sinks import LogService

COUNT = 10_000

Ship = Callable[..., Nsqgw]


@pytest.fixture
def nsqd() -> Iterator[EmbeddedNsqd]:
    """An nsqd that soon delivers again what a killed consumer had in flight."""
    daemon = EmbeddedNsqd(msg_timeout=2.0)
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def either_nsqd(start_nsqd: Callable[..., Daemon]) -> Daemon:
    """The same, ours and the original in turn."""
    return start_nsqd(msg_timeout=2.0)


@pytest.fixture
def ship(tmp_path: Path) -> Iterator[Ship]:
    """Starts `nsqgw ship` for topic `events` of an nsqd; flags are added."""
    with ExitStack() as running:

        def start(nsqd: Daemon, to: str, *flags: str) -> Nsqgw:
            arguments = ["ship", "-topic=events", "-channel=archive", f"-nsqd-tcp-address={nsqd.tcp_address}"]
            if not any(flag.startswith("-admin-address") for flag in flags):
                flags = (*flags, "-admin-address=")
            return running.enter_context(Nsqgw(tmp_path, *arguments, f"-to={to}", *flags))

        yield start


@pytest.fixture
async def service() -> AsyncIterator[LogService]:
    started = LogService()
    yield started
    await started.close()


def publish(nsqd: Daemon, bodies: Iterable[bytes]) -> None:
    with urlopen(f"http://{nsqd.http_address}/mpub?topic=events", b"\n".join(bodies), timeout=30) as answer:
        assert answer.read() == b"OK"


def numbered(count: int = COUNT) -> list[bytes]:
    return [b'{"n":%d}' % number for number in range(count)]


def unfinished(nsqd: Daemon) -> int:
    """Messages of the channel that nsqd still has."""
    with urlopen(f"http://{nsqd.http_address}/stats?format=json&topic=events", timeout=10) as answer:
        (topic,) = json.load(answer)["topics"]
    (channel,) = topic["channels"]
    return int(channel["depth"] + channel["in_flight_count"] + channel["deferred_count"])


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def check(lines: Iterable[bytes], *, duplicates: int | None = 0) -> None:
    """Every event is there, and nothing else; so many are there more than once (None: any number)."""
    counts = Counter(lines)
    assert set(numbered()) == set(counts)
    if duplicates is not None:
        assert counts.total() - len(counts) == duplicates


def small_steps() -> list[str]:
    """Flags that make many small batches, so that there is a middle."""
    return ["-batch-max-messages=10", "-max-in-flight=100"]


def test_sigterm_in_the_middle_loses_and_doubles_nothing(
    either_nsqd: Daemon, ship: Ship, tmp_path: Path
) -> None:
    nsqd = either_nsqd
    out = tmp_path / "out.ndjson"
    publish(nsqd, numbered())
    first = ship(nsqd, f"file:{out}", *small_steps())
    eventually(lambda: lines_of(out))
    assert first.terminate() == 0
    assert 0 < len(lines_of(out)) < COUNT
    second = ship(nsqd, f"file:{out}")
    eventually(lambda: len(lines_of(out)) >= COUNT and unfinished(nsqd) == 0)
    assert second.terminate() == 0
    check(lines_of(out), duplicates=0)


def test_kill_in_the_middle_loses_nothing(either_nsqd: Daemon, ship: Ship, tmp_path: Path) -> None:
    nsqd = either_nsqd
    out = tmp_path / "out.ndjson"
    publish(nsqd, numbered())
    for _ in range(3):
        before = len(lines_of(out))
        process = ship(nsqd, f"file:{out}", *small_steps())
        eventually(lambda before=before: len(lines_of(out)) > before)
        process.send(signal.SIGKILL)
        process.wait()
    assert len(set(lines_of(out))) < COUNT
    ship(nsqd, f"file:{out}")
    eventually(lambda: len(set(lines_of(out))) >= COUNT and unfinished(nsqd) == 0)
    check(lines_of(out), duplicates=None)
    # Only what was under way at a kill can come twice.
    assert len(lines_of(out)) <= COUNT + 3 * 100


def test_a_moved_file_is_followed_and_all_events_are_in_the_two(
    nsqd: EmbeddedNsqd, ship: Ship, tmp_path: Path
) -> None:
    out, moved = tmp_path / "out.ndjson", tmp_path / "out.ndjson.1"
    publish(nsqd, numbered())
    process = ship(nsqd, f"file:{out}", *small_steps())
    eventually(lambda: lines_of(out))
    out.rename(moved)
    eventually(lambda: len(lines_of(out)) + len(lines_of(moved)) >= COUNT and unfinished(nsqd) == 0)
    assert process.terminate() == 0
    assert lines_of(out)
    check(lines_of(out) + lines_of(moved), duplicates=0)


@pytest.mark.real
def test_nsqd_restarted_in_the_middle_loses_nothing(ship: Ship, tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    with closing(RealNsqd(msg_timeout=2.0)) as nsqd:
        nsqd.start()
        publish(nsqd, numbered())
        process = ship(nsqd, f"file:{out}", *small_steps())
        eventually(lambda: lines_of(out))
        nsqd.terminate()
        assert len(lines_of(out)) < COUNT
        nsqd.start()
        eventually(lambda: len(set(lines_of(out))) >= COUNT and unfinished(nsqd) == 0)
        assert process.terminate() == 0
    check(lines_of(out), duplicates=None)


async def test_sigterm_with_a_slow_http_service(nsqd: EmbeddedNsqd, ship: Ship, service: LogService) -> None:
    async def slowly(handler: RequestHandler) -> None:
        await asyncio.sleep(0.02)

    service.respond = slowly
    publish(nsqd, numbered())
    first = ship(nsqd, service.url, *small_steps())
    await eventually_async(lambda: service.requests)
    assert await asyncio.to_thread(first.terminate) == 0
    assert 0 < len(service.lines) < COUNT
    second = ship(nsqd, service.url)
    await eventually_async(lambda: len(service.lines) >= COUNT and unfinished(nsqd) == 0)
    assert await asyncio.to_thread(second.terminate) == 0
    check(service.lines, duplicates=0)


async def test_refused_credentials_hold_everything_until_they_are_mended(
    nsqd: EmbeddedNsqd, ship: Ship, service: LogService
) -> None:
    service.respond = lambda handler: handler.send_error(403)
    publish(nsqd, numbered())
    process = ship(nsqd, service.url, "-admin-address=127.0.0.1:0")
    admin = await asyncio.to_thread(process.wait_for, r"admin port on (http://127\.0\.0\.1:\d+)")
    await asyncio.to_thread(process.wait_for, "HTTP 403 .* somebody has to mend this")
    assert unfinished(nsqd) == COUNT
    with pytest.raises(HTTPError, match="503") as not_ready:
        await asyncio.to_thread(urlopen, f"{admin}/ready")
    assert b"HTTP 403" in not_ready.value.read()
    service.requests.clear()
    service.respond = None
    await eventually_async(lambda: len(service.lines) >= COUNT and unfinished(nsqd) == 0)
    check(service.lines, duplicates=0)
    metrics = (await asyncio.to_thread(urlopen, f"{admin}/metrics")).read().decode()
    finished = 'nsqgw_ship_messages_finished_total{channel="archive",pipeline="ship",topic="events"}'
    assert f"{finished} {float(COUNT)}" in metrics
    assert 'nsqgw_ship_messages_in_flight{pipeline="ship"} 0.0' in metrics
    assert await asyncio.to_thread(process.terminate) == 0


async def test_a_drain_against_a_dead_service_gives_everything_back_in_time(
    nsqd: EmbeddedNsqd, ship: Ship, service: LogService
) -> None:
    async def never(handler: RequestHandler) -> None:
        await asyncio.sleep(2)

    service.respond = never
    publish(nsqd, numbered())
    process = ship(nsqd, service.url, "-drain-timeout=1s")
    await eventually_async(lambda: service.requests)
    assert await asyncio.to_thread(process.terminate) == 0
    assert unfinished(nsqd) == COUNT
    assert process.wait_for(r"finished 0 messages, gave [1-9]\d* messages back to nsqd")


def test_stdout_closed_by_its_reader_ends_the_service_and_loses_nothing(
    nsqd: EmbeddedNsqd, ship: Ship, tmp_path: Path
) -> None:
    publish(nsqd, numbered())
    process = ship(nsqd, "stdout", *small_steps())
    assert process.process.stdout is not None
    read = [process.process.stdout.readline().rstrip(b"\n") for _ in range(5)]
    process.process.stdout.close()
    assert process.wait() == 1
    assert "Traceback" not in process.log
    assert "nsqgw ship: stdout was closed by its reader; what it did not take stays in nsqd\n" in process.log
    out = tmp_path / "rest.ndjson"
    left = unfinished(nsqd)
    assert 0 < left < COUNT
    ship(nsqd, f"file:{out}")
    eventually(lambda: len(lines_of(out)) >= left and unfinished(nsqd) == 0)
    assert len(read) == 5


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_topic_that_no_nsqd_has_yet_is_waited_for(nsqlookupd: Any, tmp_path: Path, scheme: str) -> None:
    lookupd = f"{scheme}{nsqlookupd.http_address}"
    flags = ["-topic=later", "-channel=archive", f"-lookupd-http-address={lookupd}"]
    with Nsqgw(
        tmp_path, "ship", *flags, "-to=stdout", "-connect-timeout=500ms", "-admin-address="
    ) as process:
        process.wait_for("going on to wait: .*knows no nsqd with topic 'later'")
        assert process.terminate() == 0
