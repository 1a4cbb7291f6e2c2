"""What survives the end of nsqd, and the files it stands in (nsqd-behaviour sections 1 to 4)."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.durable import OriginalOn, nsqd_on
from harness.http import call, channel_stats, post, stats
from harness.polling import eventually
from harness.wire import Wire, mpub_body

HANDOVERS = [
    pytest.param(first, second, marks=[pytest.mark.real] if "real" in (first, second) else [])
    for first, second in itertools.product(("compat", "real"), repeat=2)
]

Start = Callable[..., OriginalOn]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture
def run(folder: Path) -> Iterator[Callable[..., OriginalOn]]:
    """Starts an nsqd of the kind given over the folder."""
    with ExitStack() as running:
        yield lambda kind, **flags: running.enter_context(nsqd_on(kind, folder, **flags))


@pytest.fixture
def start(kind: str, run: Start) -> Start:
    return lambda **flags: run(kind, **flags)


def publish(nsqd: OriginalOn, topic: str, bodies: list[bytes]) -> None:
    with Wire(nsqd.tcp_address) as wire:
        wire.send(f"MPUB {topic}\n".encode() + mpub_body(*bodies))
        assert wire.frame().data == b"OK"


def create(nsqd: OriginalOn, topic: str, *channels: str) -> None:
    assert post(nsqd.http_address, f"/topic/create?topic={topic}").status == 200
    for channel in channels:
        assert post(nsqd.http_address, f"/channel/create?topic={topic}&channel={channel}").status == 200


def receive(nsqd: OriginalOn, topic: str, channel: str, count: int) -> list[tuple[bytes, int]]:
    """Bodies and attempts of so many messages, which are finished, and no more are there."""
    with Wire(nsqd.tcp_address) as wire:
        wire.subscribe(topic, channel, rdy=100)
        got = []
        for _ in range(count):
            message = wire.message()
            got.append((message.body, message.attempts))
            wire.finish(message.id)
        assert wire.is_silent(0.1)
    return got


def numbered(count: int) -> list[bytes]:
    return [b"%05d" % number for number in range(count)]


def test_c_nsqd_2_without_memory_all_is_on_disk_and_in_order(start: Start) -> None:
    nsqd = start(mem_queue_size=0)
    create(nsqd, "t", "c")
    publish(nsqd, "t", numbered(300))
    assert nsqd.backlog("t", "c") == (300, 300)
    assert receive(nsqd, "t", "c", 300) == [(body, 1) for body in numbered(300)]
    assert nsqd.backlog("t", "c") == (0, 0)


@pytest.mark.parametrize("mem_queue_size", [0, 5, 10_000])
@pytest.mark.parametrize(("first", "second"), HANDOVERS)
def test_c_nsqd_3_4_5_8_everything_is_handed_over(
    run: Start, first: str, second: str, mem_queue_size: int
) -> None:
    """Queued, in flight with its attempts, deferred and due at once; topics, channels, pauses."""
    nsqd = run(first, mem_queue_size=mem_queue_size)
    create(nsqd, "t", "c", "paused")
    create(nsqd, "no-channel")
    create(nsqd, "paused-topic", "c")
    assert post(nsqd.http_address, "/channel/pause?topic=t&channel=paused").status == 200
    assert post(nsqd.http_address, "/topic/pause?topic=paused-topic").status == 200
    bodies = numbered(20)
    for topic in ("t", "no-channel", "paused-topic"):
        publish(nsqd, topic, bodies)
    nsqd.backlog("t", "c")
    with Wire(nsqd.tcp_address) as wire:
        wire.subscribe("t", "c", rdy=3)
        one, two, three = (wire.message() for _ in range(3))
        wire.finish(one.id)
        wire.send(b"REQ " + two.id + b" 3600000\n")
        four = wire.message()
        fifth = wire.message()
        eventually(lambda: channel_stats(nsqd.http_address, "t", "c")["deferred_count"] == 1)
    nsqd.leave()

    nsqd = run(second, mem_queue_size=mem_queue_size)
    found = {topic["topic_name"]: topic for topic in stats(nsqd.http_address)["topics"]}
    assert {name: topic["paused"] for name, topic in found.items()} == {
        "t": False,
        "no-channel": False,
        "paused-topic": True,
    }
    channels = {channel["channel_name"]: channel for channel in found["t"]["channels"]}
    assert {name: channel["paused"] for name, channel in channels.items()} == {"c": False, "paused": True}
    assert (channels["c"]["depth"], channels["paused"]["depth"]) == (19, 20)
    assert (found["no-channel"]["depth"], found["paused-topic"]["depth"]) == (20, 20)
    got = dict(receive(nsqd, "t", "c", 19))
    again = {message.body for message in (two, three, four, fifth)}
    assert got == {body: 2 if body in again else 1 for body in bodies if body != one.body}
    assert post(nsqd.http_address, "/topic/unpause?topic=paused-topic").status == 200
    assert {body for body, _ in receive(nsqd, "paused-topic", "c", 20)} == set(bodies)
    assert {body for body, _ in receive(nsqd, "no-channel", "first", 20)} == set(bodies)


def test_a_deferred_message_that_goes_to_disk_loses_its_delay(start: Start) -> None:
    nsqd = start(mem_queue_size=0)
    with Wire(nsqd.tcp_address) as wire:
        wire.ok(b"DPUB t 3600000", b"x")
    assert receive(nsqd, "t", "c", 1) == [(b"x", 1)]


def test_c_nsqd_6_nsqd_dat_names_what_is_not_ephemeral(start: Start) -> None:
    nsqd = start()
    assert nsqd.metadata() == {"topics": None, "version": "1.3.0"}
    create(nsqd, "t", "c", "c%23ephemeral")
    create(nsqd, "u%23ephemeral", "c")
    create(nsqd, "empty")
    channels = [{"name": "c", "paused": False}]

    def topics() -> dict[str, Any]:
        return {
            topic["name"]: (topic["paused"], topic["channels"]) for topic in nsqd.metadata()["topics"] or ()
        }

    eventually(lambda: topics() == {"t": (False, channels), "empty": (False, None)}, timeout=5.0)
    assert (nsqd.folder / "nsqd.dat").stat().st_mode & 0o777 == 0o600
    post(nsqd.http_address, "/topic/pause?topic=empty")
    eventually(lambda: topics()["empty"] == (True, None), timeout=5.0)
    post(nsqd.http_address, "/topic/delete?topic=empty")
    nsqd.leave()
    assert topics() == {"t": (False, channels)}


def test_c_nsqd_7_a_second_one_on_the_same_folder_does_not_start(start: Start) -> None:
    start()
    with pytest.raises(AssertionError, match=r"ended with 1:(?s:.)*data-path"):
        start()


@pytest.mark.parametrize("content", [b"{", b"", b"[]", b'{"topics": 7}', b'{"topics": [{"name": 5}]}'])
def test_a_bad_nsqd_dat_is_a_refusal_to_start(start: Start, folder: Path, content: bytes) -> None:
    (folder / "nsqd.dat").write_bytes(content)
    with pytest.raises(AssertionError, match=r"ended with 1:(?s:.)*metadata in .*nsqd\.dat"):
        start()
    assert (folder / "nsqd.dat").read_bytes() == content


def test_names_that_cannot_be_are_left_out(start: Start, folder: Path) -> None:
    (folder / "nsqd.dat").write_text(
        '{"topics":[{"name":"no good"},{"name":"t","channels":[{"name":""},{"name":"c"}]}],"more":1}'
    )
    [topic] = stats(start().http_address)["topics"]
    assert (topic["topic_name"], [each["channel_name"] for each in topic["channels"]]) == ("t", ["c"])


@pytest.mark.parametrize("twice", ["t", "\\udcff"])
def test_an_odd_nsqd_dat_and_folder_do_no_harm(start: Start, folder: Path, twice: str) -> None:
    document = f'{{"topics":[{{"name":"t","channels":[{{"name":"c"}}]}},{{"name":"{twice}"}}]}}'
    content = document.replace("\\udcff", "\udcff").encode("utf-8", "surrogateescape")
    (folder / "nsqd.dat").write_bytes(content)
    (folder / "nsqd.dat.123.tmp").mkdir()
    nsqd = start()
    [topic] = stats(nsqd.http_address)["topics"]
    assert (topic["topic_name"], [each["channel_name"] for each in topic["channels"]]) == ("t", ["c"])


def test_c_nsqd_8_9_10_names_meta_and_size_of_the_files(start: Start) -> None:
    nsqd = start(mem_queue_size=0, max_bytes_per_file=1000, sync_every=1)
    create(nsqd, "t", "c")
    create(nsqd, "u")
    assert post(nsqd.http_address, "/channel/pause?topic=t&channel=c").status == 200
    for topic in ("t", "u"):
        publish(nsqd, topic, [b"x" * 70] * 25)
    assert nsqd.backlog("t", "c") == (25, 25)
    sizes = {path.name: path.stat().st_size for path in nsqd.folder.glob("u.diskqueue.0*.dat")}
    assert sizes == {f"u.diskqueue.{number:06d}.dat": size for number, size in enumerate([1000, 1000, 500])}
    assert {path.name for path in nsqd.folder.glob("t:c.diskqueue.0*.dat")} == {
        f"t:c.diskqueue.{number:06d}.dat" for number in range(3)
    }
    for name in ("u", "t:c"):
        meta = nsqd.folder / f"{name}.diskqueue.meta.dat"
        eventually(lambda meta=meta: meta.read_text() == "25\n0,0\n2,500\n")
        assert re.fullmatch(r"\d+\n\d+,\d+\n\d+,\d+\n", meta.read_text())
    post(nsqd.http_address, "/topic/delete?topic=t")
    post(nsqd.http_address, "/topic/empty?topic=u")
    eventually(lambda: not list(nsqd.folder.glob("*.diskqueue.0*.dat")))


def test_c_nsqd_11_a_last_record_cut_short_is_set_aside_and_the_queue_goes_on(
    start: Start, folder: Path
) -> None:
    nsqd = start(mem_queue_size=0)
    create(nsqd, "t")
    publish(nsqd, "t", numbered(10))
    nsqd.leave()
    data = folder / "t.diskqueue.000000.dat"
    data.write_bytes(data.read_bytes()[:-1])
    nsqd = start(mem_queue_size=0)
    with Wire(nsqd.tcp_address) as wire:
        wire.subscribe("t", "c", rdy=100)
        assert [wire.message().body for _ in range(9)] == numbered(9)
        publish(nsqd, "t", [b"new"])
        assert wire.message().body == b"new"
    assert (folder / "t.diskqueue.000000.dat.bad").exists()


@pytest.mark.parametrize(("first", "second"), HANDOVERS)
def test_what_was_on_disk_survives_a_kill(run: Start, first: str, second: str) -> None:
    nsqd = run(first, mem_queue_size=0, sync_every=1)
    create(nsqd, "t", "c")
    eventually(lambda: "c" in str(nsqd.metadata()))
    publish(nsqd, "t", numbered(50))
    nsqd.backlog("t", "c")
    nsqd.stop()
    nsqd = run(second, mem_queue_size=0)
    assert nsqd.backlog("t", "c") == (50, 50)
    assert {body for body, _ in receive(nsqd, "t", "c", 50)} == set(numbered(50))


def test_a_write_that_fails_is_told_and_the_health_is_not_ok(start: Start) -> None:
    """The folder goes while nsqd runs: the one failure a test can bring about without a full disk."""
    nsqd = start(mem_queue_size=0)
    create(nsqd, "t")
    eventually(lambda: shutil.rmtree(nsqd.folder, ignore_errors=True) or not nsqd.folder.exists())
    with Wire(nsqd.tcp_address) as wire:
        wire.send(b"PUB t\n\x00\x00\x00\x01x")
        assert wire.error().startswith("E_PUB_FAILED PUB failed ")
        assert wire.is_closed()
    with Wire(nsqd.tcp_address) as wire:
        wire.send(b"MPUB t\n" + mpub_body(b"x"))
        assert wire.error().startswith("E_MPUB_FAILED MPUB failed ")
    answer = call(nsqd.http_address, "POST", "/pub?topic=t", b"x")
    assert (answer.status, answer.message) == (503, "EXITING")
    status, body = nsqd.ping()
    assert status == 500
    assert body.startswith(b"NOK - ")
    assert stats(nsqd.http_address)["health"] == body.decode()
    nsqd.folder.mkdir()
    publish(nsqd, "t", [b"x"])
    assert nsqd.ping() == (200, b"OK")
