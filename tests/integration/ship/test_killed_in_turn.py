"""`nsqgw ship` to each kind of sink, where sink, gateway and nsqd are killed in turn while events flow.

Then every event is there. Those that came twice are counted: none where the sink knows events by their key.
`SHIP_EVENTS` sets how many there are; `make ship-kills` takes 100,000.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness import kill_targets
from harness.command import Nsqgw
from harness.http import post, stats
from harness.kill_targets import EVENT, Target
from harness.polling import eventually
from harness.real import RealNsqd

COUNT = int(os.environ.get("SHIP_EVENTS", "1000"))
IN_FLIGHT = min(1000, COUNT // 10)
BATCH = IN_FLIGHT // 10
PARTS = 4
TIMEOUT = 60.0 + COUNT / 250

CONFIG = """
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]

[service]
admin_address = ""

[[pipeline]]
topics = ["events"]
channel = "archive"
sinks = ["target"]
max_in_flight = {in_flight}
batch.max_messages = {batch}

[sink.target]
"""


def write_config(path: Path, nsqd: RealNsqd, sink: dict[str, object]) -> Path:
    lines = [f"{name} = {json.dumps(value)}" for name, value in sink.items()]
    head = CONFIG.format(nsqd=nsqd.tcp_address, in_flight=IN_FLIGHT, batch=BATCH)
    path.write_text(head + "\n".join(lines) + "\n")
    return path


class Flow:
    """Numbered events into an nsqd, a part at a time, and what is left of them there."""

    def __init__(self, nsqd: RealNsqd) -> None:
        self._nsqd = nsqd
        self._parts = iter(range(PARTS))
        self.published = 0

    def publish(self) -> None:
        """The next part."""
        end = COUNT * (next(self._parts) + 1) // PARTS
        bodies = b"\n".join(EVENT % number for number in range(self.published, end))
        assert post(self._nsqd.http_address, "/mpub?topic=events", bodies).body == b"OK"
        self.published = end

    def left(self) -> int:
        """Events published that are not finished."""
        (topic,) = stats(self._nsqd.http_address, "&topic=events")["topics"]
        channels = topic["channels"] or [{}]
        figures = ("depth", "in_flight_count", "deferred_count")
        return int(topic["depth"] + sum(channels[0].get(name, 0) for name in figures))

    def finished(self) -> int:
        """Events that came through."""
        return self.published - self.left()

    def exceeds(self, before: int) -> None:
        """Until a batch more than `before` came through; there are more to come then.

        A single one would not do: what nsqd has in hand between topic and channel is counted nowhere.
        """
        eventually(lambda: self.finished() >= before + BATCH, TIMEOUT, "events come through")
        assert self.published < COUNT
        if COUNT >= 10_000:
            assert self.left() > 0, "they flow while something is killed"


@pytest.mark.real
@pytest.mark.parametrize("name", kill_targets.TARGETS)
def test_killed_in_turn_every_event_arrives(name: str, tmp_path: Path) -> None:
    with (
        kill_targets.running(name) as target,
        closing(RealNsqd(msg_timeout=5.0)) as nsqd,
    ):
        nsqd.start()
        config = write_config(tmp_path / "ship.toml", nsqd, target.config)
        _kill_in_turn(
            target, nsqd, lambda: Nsqgw(tmp_path, "ship", f"-config={config}", stdout=target.stdout)
        )
        counts = Counter(target.numbers())
    missing = set(range(COUNT)).difference(counts)
    assert not missing, f"{len(missing)} are lost, such as {sorted(missing)[:10]}"
    assert len(counts) == COUNT
    duplicates = counts.total() - COUNT
    print(f"{name}: {duplicates} of {COUNT} events came twice")
    if name in kill_targets.KEYED:
        assert duplicates == 0
    else:
        assert duplicates <= 4 * IN_FLIGHT, "only what was under way at a kill can be there twice"


def _kill_in_turn(target: Target, nsqd: RealNsqd, start: Callable[[], Nsqgw]) -> None:
    """The target, the gateway and nsqd, each after some events came through and with more to come."""
    flow = Flow(nsqd)
    flow.publish()
    with start() as gateway:
        flow.exceeds(0)
        target.kill()
        flow.publish()  # however quick the first part was, there is something to notice it by
        if target.notices:
            gateway.wait_for(target.notices)
        before = flow.finished()
        target.start()
        flow.exceeds(before)
        gateway.send(signal.SIGKILL)
        gateway.wait()
    before = flow.finished()
    flow.publish()
    with start() as gateway:
        flow.exceeds(before)
        nsqd.terminate()  # killed, the original loses what is in flight
        nsqd.start()
        flow.publish()
        eventually(lambda: flow.left() == 0, TIMEOUT)
        assert gateway.terminate() == 0
