"""A browser that goes from process to process: everything once, or a gap, wherever it is cut.

Two gateway processes get the same messages, each in an order of its own, as far as nsqds and the network
delay them by less than the overlap. Processes restart without what they had, and their rings are short.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from gateways.push.entry import Entry
from gateways.push.frame import Burst
from gateways.push.history import HistoryLimits
from gateways.push.hub import Hub
from gateways.push.wire import websocket_message

MS = 1_000_000
START = 1_700_000_000_000 * MS
TOPIC = "t"


@dataclass
class World:
    """Two processes and the time."""

    limits: HistoryLimits
    now: int = START
    hubs: list[Hub] = field(default_factory=list)
    born: list[int] = field(default_factory=lambda: [START, START])

    def __post_init__(self) -> None:
        self.hubs = [self.new_hub(), self.new_hub()]

    def new_hub(self) -> Hub:
        return Hub([TOPIC], lambda: (self.now - START) / 1e9, self.limits, wall=lambda: self.now)

    def restart(self, process: int) -> None:
        self.hubs[process], self.born[process] = self.new_hub(), self.now

    def deliver(self, process: int, entry: Entry) -> None:
        if entry.timestamp > self.born[process]:  # its channel began with it
            for _ in self.hubs[process].fan_out(TOPIC, [entry]):
                raise AssertionError("nothing pauses for a single browser")


class Browser:
    """Follows one process at a time; drops by key what it has had."""

    encoding = staticmethod(websocket_message)

    def __init__(self) -> None:
        self.position: str | None = None
        self.got: list[str] = []
        self.forgiven_until = 0
        self.at: int | None = None

    def offer(self, data: bytes, burst: Burst) -> None:
        for frame in burst.frames:
            self.position = frame.position
            if frame.key not in self.got:
                self.got.append(frame.key)

    def miss(self, channel: str) -> None:
        raise AssertionError("nobody was cut off")

    def go(self, world: World, process: int) -> None:
        """To `process`, from wherever it is."""
        self.leave(world)
        replay = world.hubs[process].subscribe(TOPIC, self, self.position)
        if replay.gap or self.position is None:
            self.forgiven_until = world.now
        if self.position is None or replay.gap:
            self.position = replay.start
        self.at = process
        if replay.frames:
            self.offer(b"", Burst(TOPIC, replay.frames))

    def leave(self, world: World) -> None:
        if self.at is not None:
            world.hubs[self.at].unsubscribe(TOPIC, self)
        self.at = None


messages = st.tuples(st.just("message"), st.integers(0, 1900), st.integers(0, 1900))
moves = st.tuples(st.sampled_from(["go", "restart"]), st.integers(0, 1), st.just(0)) | st.tuples(
    st.just("leave"), st.just(0), st.just(0)
)
steps = st.lists(st.tuples(st.integers(0, 1500), messages | messages | moves), max_size=60)


GONE_ON = [(0, ("go", 0, 0)), (0, ("message", 1900, 0)), (1000, ("message", 0, 0)), (300, ("go", 1, 0))]


@example(GONE_ON, 30, 1000.0, 1)
@given(steps, st.integers(1, 30), st.sampled_from([5.0, 1000.0]), st.integers(0, 1))
def test_everything_once_or_a_gap(
    plan: list[tuple[int, tuple[str, int, int]]], kept: int, max_age: float, last: int
) -> None:
    world = World(HistoryLimits(max_messages=kept, max_age=max_age, overlap=2.0))
    browser, published = Browser(), []
    timeline: list[tuple[int, int, str, int, Entry | None]] = []
    at = START
    for number, (wait, (what, first, second)) in enumerate(plan):
        at += (wait + 1) * MS
        if what == "message":
            entry = Entry(b"x", at, b"%016x" % number)
            published.append(entry)
            timeline += [
                (at + delay * MS, number, "arrive", process, entry)
                for process, delay in enumerate((first, second))
            ]
        else:
            timeline.append((at, number, what, first, None))
    for when, _, what, process, entry in sorted(timeline, key=lambda step: step[:4]):
        world.now = when
        if entry is not None:
            world.deliver(process, entry)
        elif what == "restart":
            if browser.at == process:
                browser.at = None
            world.restart(process)
        elif what == "leave":
            browser.leave(world)
        else:
            browser.go(world, process)
    world.now += 3000 * MS
    if browser.position is not None and browser.at is None:
        browser.go(world, last)
    due = {entry.key for entry in published if entry.timestamp > browser.forgiven_until}
    if browser.position is not None:
        assert due <= set(browser.got)
