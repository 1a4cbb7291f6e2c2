"""What clients make up costs nobody more: steps of the interpreter are counted, not time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from gateways.push.backlog import Backlog
from gateways.push.entry import Entry
from gateways.push.frame import Burst, Frame
from gateways.push.hub import Hub
from gateways.push.policy import Lag, Policy
from gateways.push.routing import Route, Routing
from harness.entries import entries


class Taker:
    @staticmethod
    def encoding(frame: Frame) -> bytes:
        return frame.body

    def offer(self, data: bytes, burst: Burst) -> None:
        """Takes what comes."""

    def miss(self, channel: str) -> None:
        """Takes that, too."""


def steps(work: Callable[[], object]) -> int:
    """Lines carried out."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def by_id() -> Hub:
    return Hub(Routing(["orders"], [Route("orders", "orders.{id}")]))


def publish(hub: Hub, number: int) -> None:
    for channel, own in hub.routing.channels_of("orders", entries(b'{"id": %d}' % number)).items():
        for _ in hub.fan_out(channel, own):
            pass


@pytest.mark.parametrize("lag", [Lag.DISCONNECT, Lag.DROP_OLDEST, Lag.CONFLATE])
def test_a_slow_browser_with_many_channels(lag: Lag) -> None:
    def wait(channels: int) -> None:
        backlog = Backlog(lambda _: Policy(lag), max_bytes=10**6, max_age=5.0, patience=5.0)
        for number in range(channels):
            name = f"orders.{number}"
            assert backlog.add(Burst(name, [Frame(Entry(b"x"), name)]), Taker.encoding, 0.0)
        while backlog.take() is not None:
            pass
        assert (backlog.size, len(backlog._queues)) == (0, 0), "channels that have gone are not kept"

    assert steps(lambda: wait(400)) < 10 * steps(lambda: wait(50))


def test_patterns_that_nobody_meant() -> None:
    few, many = by_id(), by_id()
    for hub, patterns in ((few, 5), (many, 1000)):
        for number in range(patterns):
            hub.subscribe_pattern(f"orders.x{number}*", Taker(), {})
        publish(hub, 1)
    assert steps(lambda: publish(many, 1)) < 2 * steps(lambda: publish(few, 1))


def test_who_comes_back_to_a_pattern_has_only_channels_with_news_looked_through() -> None:
    hub = by_id()
    for number in range(300):
        publish(hub, number)
    since = hub.position
    for number in (7, 8, 300):
        publish(hub, number)
    looked: list[str] = []
    missed = hub.missed

    def seen(channel: str, *arguments: Any) -> Any:
        looked.append(channel)
        return missed(channel, *arguments)

    hub.missed = seen  # type: ignore[method-assign]
    replays = hub.subscribe_pattern("orders.*", Taker(), {"orders.*": since})
    assert looked == [name for name, _ in replays] == ["orders.7", "orders.8", "orders.300"]
    hub.tear("orders")
    looked.clear()
    assert len(hub.subscribe_pattern("orders.*", Taker(), {"orders.*": since})) == len(looked) == 301
    looked.clear()
    assert hub.subscribe_pattern("orders.*", Taker(), {"orders.*": hub.position}) == []
    assert looked == []
    assert hub.subscribe_pattern("orders.*", Taker(), {}) == []
