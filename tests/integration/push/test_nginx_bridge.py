"""`nsqgw push bridge` from a real nsqd to a real nginx with nchan: what arrives, and in what order."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from harness.command import Nsqgw, run_nsqgw
from harness.nginx import NchanServer, Published
from harness.polling import eventually
from harness.real import RealNsqd

pytestmark = pytest.mark.real

CHANNELS = 5
IN_FLIGHT = 50


@pytest.fixture
def nginx() -> Iterator[NchanServer]:
    with closing(NchanServer()) as server:
        server.start()
        yield server


@pytest.fixture
def nsqd() -> Iterator[RealNsqd]:
    with closing(RealNsqd(msg_timeout=1.5)) as daemon:
        daemon.start()
        yield daemon


def publish(nsqd: RealNsqd, *bodies: bytes) -> None:
    url = f"http://{nsqd.http_address}/mpub?topic=events"
    with urlopen(url, b"\n".join(bodies), timeout=10) as answer:
        assert answer.read() == b"OK"


def numbered(start: int, end: int) -> list[bytes]:
    return [b'{"channel":"c%d","n":%d}' % (n % CHANNELS, n) for n in range(start, end)]


def bridge(folder: Path, nsqd: RealNsqd, nginx: NchanServer, *more: str) -> Nsqgw:
    return Nsqgw(
        folder, "push", "bridge", "--topic=events", "--admin-address=", "--style=nchan",
        f"--nsqd-tcp-address={nsqd.tcp_address}", f"--publish-url={nginx.publish_url}",
        "--publish-channel={field:channel}", f"--max-in-flight={IN_FLIGHT}", "--timeout=2s", *more,
    )  # fmt: skip


def numbers(published: list[Published]) -> dict[str, list[int]]:
    """What came, by channel, in the order of its coming; what came again is left out."""
    channels: dict[str, list[int]] = {}
    seen: set[int] = set()
    for each in published:
        number = json.loads(each.body)["n"]
        if number not in seen:
            channels.setdefault(each.channel, []).append(number)
        seen.add(number)
    return channels


def all_there(nginx: NchanServer, count: int) -> bool:
    return sum(map(len, numbers(nginx.published).values())) == count


def test_messages_are_confirmed_by_nginx_and_reach_who_follows(
    nsqd: RealNsqd, nginx: NchanServer, tmp_path: Path
) -> None:
    publish(nsqd, b'{"channel":"a b","n":1}', b"no channel")
    publish(nsqd, b'{"channel":"a b","n":2}')
    with bridge(tmp_path, nsqd, nginx, "--content-type=application/json") as running:
        eventually(lambda: all_there(nginx, 2))
        with urlopen(f"{nginx.url}/sub?id=a%20b", timeout=5) as answer:
            assert answer.read() == b'{"channel":"a b","n":1}'
            assert answer.headers["Content-Type"] == "application/json"
        running.wait_for("refused: no channel: ")
        publish(nsqd, b'{"channel":"big","n":"%s"}' % (b"x" * 2000))
        running.wait_for("refused: HTTP 413 Request Entity Too Large: see client_max_body_size")
        assert running.terminate() == 0
    assert left(nsqd) == 0, "what is refused does not come again"


def test_nginx_killed_under_traffic_every_message_arrives_in_order(
    nsqd: RealNsqd, nginx: NchanServer, tmp_path: Path
) -> None:
    count = 600
    publish(nsqd, *numbered(0, count))
    with bridge(tmp_path, nsqd, nginx) as running:
        for killed in range(2):
            eventually(lambda so_far=100 * (killed + 1): len(nginx.published) > so_far)
            nginx.kill()
            running.wait_for("trying again in")
            nginx.start()
        eventually(lambda: all_there(nginx, count))
        assert running.terminate() == 0
    published = nginx.published
    came = numbers(published)
    assert came == {f"c{channel}": list(range(channel, count, CHANNELS)) for channel in range(CHANNELS)}
    print(f"{len(published) - count} of {count} came twice")
    assert len(published) - count <= 2 * 8, "only what was under way at a kill"


def test_the_bridge_killed_under_traffic_loses_nothing_and_reorders_what_was_in_flight_alone(
    nsqd: RealNsqd, nginx: NchanServer, tmp_path: Path
) -> None:
    count = 600
    publish(nsqd, *numbered(0, count))
    with bridge(tmp_path, nsqd, nginx) as running:
        eventually(lambda: len(nginx.published) > 100)
        running.send(signal.SIGKILL)
        running.wait()
    before = len(nginx.published)
    assert before < count
    with bridge(tmp_path, nsqd, nginx) as running:
        eventually(lambda: all_there(nginx, count))
        assert running.terminate() == 0
    came = numbers(nginx.published)
    late = sum(len(each) - longest_rise(each) for each in came.values())
    print(f"{len(nginx.published) - count} of {count} came twice, {late} came late")
    assert len(nginx.published) - count <= IN_FLIGHT
    assert late <= IN_FLIGHT


def longest_rise(values: list[int]) -> int:
    """The length of the longest part, in order though not in a row, that only rises."""
    best: list[int] = []
    for index, value in enumerate(values):
        best.append(1 + max((best[i] for i in range(index) if values[i] < value), default=0))
    return max(best, default=0)


def left(nsqd: RealNsqd) -> int:
    url = f"http://{nsqd.http_address}/stats?format=json&topic=events"
    with urlopen(url, timeout=5) as answer:
        ((channel,),) = [topic["channels"] for topic in json.load(answer)["topics"]]
    return sum(int(channel[name]) for name in ("depth", "in_flight_count", "deferred_count"))


@pytest.mark.parametrize(
    ("page", "code", "words"),
    [("stats", 0, ""), ("closed", 1, "403 Forbidden"), ("pub?id=x", 1, "404")],
)
def test_validate_asks_for_the_stub_status(
    nsqd: RealNsqd, nginx: NchanServer, tmp_path: Path, page: str, code: int, words: str
) -> None:
    config = tmp_path / "ship.toml"
    sink: dict[str, Any] = {"type": "nginx", "style": "nchan", "url": nginx.publish_url}
    lines = [f"{name} = {json.dumps(value)}" for name, value in sink.items()]
    config.write_text(
        f'[nsq]\nnsqd_tcp_addresses = ["{nsqd.tcp_address}"]\n'
        '[[pipeline]]\ntopics = ["events"]\nchannel = "nginx"\nsinks = ["browsers"]\n'
        "[sink.browsers]\n" + "\n".join([*lines, f'stats_url = "{nginx.url}/{page}"'])
    )
    done = run_nsqgw("ship", "validate", str(config))
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stdout + done.stderr
