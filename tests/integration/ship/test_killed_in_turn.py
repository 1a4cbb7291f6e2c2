"""`nsqgw ship` to stores that are killed, by a gateway that is killed, from an nsqd that restarts, in turn.

Then every event is there. Those that came twice are counted: none where the store knows events by their key.
`SHIP_EVENTS` sets how many there are; `make soak` takes 100,000.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from harness import stores
from harness.command import Nsqgw
from harness.polling import eventually
from harness.real import RealNsqd
from harness.stores import Store

COUNT = int(os.environ.get("SHIP_EVENTS", "1000"))
IN_FLIGHT = 100

CONFIG = """
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]

[service]
admin_address = ""

[[pipeline]]
topics = ["events"]
channel = "archive"
sinks = ["store"]
max_in_flight = {in_flight}
batch.max_messages = 10

[sink.store]
"""


def write_config(path: Path, nsqd: RealNsqd, sink: dict[str, object]) -> Path:
    lines = [f"{name} = {json.dumps(value)}" for name, value in sink.items()]
    path.write_text(CONFIG.format(nsqd=nsqd.tcp_address, in_flight=IN_FLIGHT) + "\n".join(lines) + "\n")
    return path


def publish(nsqd: RealNsqd, numbers: range) -> None:
    bodies = b"\n".join(b'{"n":%d}' % number for number in numbers)
    with urlopen(f"http://{nsqd.http_address}/mpub?topic=events", bodies, timeout=30) as answer:
        assert answer.read() == b"OK"


def unfinished(nsqd: RealNsqd) -> int:
    with urlopen(f"http://{nsqd.http_address}/stats?format=json&topic=events", timeout=10) as answer:
        (topic,) = json.load(answer)["topics"]
    (channel,) = topic["channels"]
    return int(topic["depth"] + channel["depth"] + channel["in_flight_count"] + channel["deferred_count"])


@pytest.mark.real
@pytest.mark.parametrize("name", stores.STORES)
def test_killed_in_turn_every_event_arrives(name: str, tmp_path: Path) -> None:
    with (
        stores.running(stores.STORES[name]) as store,
        closing(RealNsqd(msg_timeout=1.0)) as nsqd,
    ):
        nsqd.start()
        config = write_config(tmp_path / "ship.toml", nsqd, store.config)
        _kill_in_turn(store, nsqd, lambda: Nsqgw(tmp_path, "ship", f"-config={config}"))
        counts = Counter(store.events)
    assert set(counts) == {b'{"n":%d}' % number for number in range(COUNT)}
    duplicates = counts.total() - len(counts)
    print(f"{name}: {duplicates} of {COUNT} events came twice")
    if name in stores.KEYED:
        assert duplicates == 0
    else:
        assert duplicates < COUNT


def _kill_in_turn(store: Store, nsqd: RealNsqd, start: Callable[[], Nsqgw]) -> None:
    """The store, the gateway and nsqd, each after some events came through and with more to come."""
    third = COUNT // 3
    publish(nsqd, range(third))
    with start() as gateway:
        _some_more(store, 0)
        before = len(store.events)
        store.kill()
        publish(nsqd, range(third, 2 * third))
        gateway.wait_for("trying again")
        store.start()
        _some_more(store, before)
        gateway.send(signal.SIGKILL)
        gateway.wait()
    publish(nsqd, range(2 * third, COUNT))
    before = len(store.events)
    with start() as gateway:
        _some_more(store, before)
        nsqd.terminate()  # killed, the original loses what is in flight
        nsqd.start()
        eventually(lambda: unfinished(nsqd) == 0, timeout=60.0 + COUNT / 200)
        assert gateway.terminate() == 0


def _some_more(store: Store, before: int) -> None:
    eventually(lambda: len(store.events) > before)
