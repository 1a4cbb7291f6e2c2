"""Who gets what, in which order, and that one slow or leaving subscriber is nobody else's matter."""

from __future__ import annotations

import pytest

from gateways.push.audience import SLICE
from gateways.push.channel import ChannelLimits
from gateways.push.filter import parse_filter
from gateways.push.frame import Burst, Encoding, Frame
from gateways.push.history import HistoryLimits
from gateways.push.hub import Hub, NoRoom
from gateways.push.position import OLDEST
from gateways.push.routing import Route, Routing
from gateways.push.sse import event_block
from gateways.push.wire import websocket_message
from harness.entries import entries


class Taker:
    """A subscriber that keeps what it is offered."""

    def __init__(self, encoding: Encoding = websocket_message) -> None:
        self.encoding = encoding
        self.taken: list[bytes] = []

    def offer(self, data: bytes, burst: Burst) -> None:
        self.taken.append(data)

    def miss(self, channel: str) -> None:
        self.taken.append(b"missed")


def publish(hub: Hub, topic: str, *bodies: bytes) -> int:
    """Fan out to the end; the number of pauses."""
    return sum(1 for _ in hub.fan_out(topic, entries(*bodies)))


def test_every_subscriber_gets_the_same_bytes_in_its_encoding() -> None:
    hub = Hub(["a", "b"])
    first, second, events, other = Taker(), Taker(), Taker(event_block), Taker()
    for taker in (first, second, events):
        hub.subscribe("a", taker)
    hub.subscribe("b", other)

    publish(hub, "a", b"1", b"2")

    assert first.taken == [b"\x81\x011\x81\x012"]
    assert first.taken[0] is second.taken[0]
    one, two = (frame.position.encode() for frame in hub.missed("a", OLDEST).frames)
    assert events.taken == [b"id: %s\ndata: 1\n\nid: %s\ndata: 2\n\n" % (one, two)]
    assert other.taken == []
    assert (hub.messages["a"], hub.deliveries["a"], hub.messages["b"]) == (2, 6, 0)
    assert (hub.subscribers("a"), hub.subscribers("b")) == (3, 1)


def test_nothing_is_encoded_for_nobody() -> None:
    def encoding(frame: Frame) -> bytes:
        raise AssertionError("encoded for nobody")

    hub = Hub(["a"])
    taker = Taker(encoding)
    hub.subscribe("a", taker)
    hub.unsubscribe("a", taker)
    publish(hub, "a", b"1")
    assert hub.messages["a"] == 1
    assert hub.deliveries["a"] == 0


def test_an_unknown_topic_is_refused_and_an_unknown_subscriber_is_not() -> None:
    hub = Hub(["a"])
    with pytest.raises(KeyError):
        hub.subscribe("b", Taker())
    hub.unsubscribe("a", Taker())


def test_a_large_audience_is_served_in_slices() -> None:
    hub = Hub(["a"])
    takers = [Taker() for _ in range(2 * SLICE + 1)]
    for taker in takers:
        hub.subscribe("a", taker)
    fan_out = hub.fan_out("a", entries(b"1"))
    next(fan_out)
    assert sum(len(taker.taken) for taker in takers) == SLICE

    newcomer = Taker()  # may come while the fan-out pauses, and gets the next burst
    hub.subscribe("a", newcomer)
    assert sum(1 for _ in fan_out) == 1
    assert all(len(taker.taken) == 1 for taker in takers)
    assert newcomer.taken == []
    assert [frame.body for frame in hub.missed("a", OLDEST).frames] == [b"1"]  # what it may ask for
    publish(hub, "a", b"2")
    assert newcomer.taken == [b"\x81\x012"]


def test_who_leaves_while_the_fan_out_pauses_gets_nothing_more() -> None:
    hub = Hub(["a"])
    takers = [Taker() for _ in range(2 * SLICE)]
    for taker in takers:
        hub.subscribe("a", taker)
    fan_out = hub.fan_out("a", entries(b"1"))
    next(fan_out)
    for taker in takers:
        hub.unsubscribe("a", taker)
    list(fan_out)
    assert sum(len(taker.taken) for taker in takers) == SLICE == hub.deliveries["a"]


BY_ID = Routing(["orders"], [Route("orders", "orders.{id}")])


def routed(hub: Hub, *bodies: bytes) -> None:
    for channel, own in hub.routing.channels_of("orders", entries(*bodies)).items():
        for _ in hub.fan_out(channel, own):
            pass


def test_channels_come_with_a_message_or_a_subscriber_and_go_when_unused() -> None:
    now = 0.0
    hub = Hub(BY_ID, lambda: now, HistoryLimits(max_age=10.0), ChannelLimits(idle_timeout=100.0))
    assert not hub.channels
    before = hub.missed("orders.1", None).position
    routed(hub, b'{"id":1}')
    taker = Taker()
    hub.subscribe("orders.2", taker)
    assert set(hub.channels) == {"orders.1", "orders.2"}
    after = hub.missed("orders.1", None).position
    now = 111.0
    for _ in range(3):
        hub.sweep()
    assert set(hub.channels) == {"orders.2"}
    assert hub.missed("orders.1", before).gap
    assert not hub.missed("orders.1", after).gap
    hub.unsubscribe("orders.2", taker)
    now = 212.0
    for _ in range(3):
        hub.sweep()
    assert not hub.channels


def test_channels_are_bounded_and_what_is_not_kept_is_a_gap() -> None:
    hub = Hub(BY_ID, limits=ChannelLimits(max_channels=1))
    everything = Taker()
    hub.subscribe_pattern("orders.*", everything, {})
    before = hub.position
    routed(hub, b'{"id":1}', b'{"id":2}')
    assert set(hub.channels) == {"orders.1"}
    assert len(everything.taken) == 2
    assert hub.crowded_out == {"orders": 1}
    assert hub.missed("orders.2", before).gap
    assert not hub.has_room("orders.2")
    with pytest.raises(NoRoom):
        hub.subscribe("orders.2", Taker())


def test_a_pattern_gets_all_channels_and_goes_on_from_their_positions() -> None:
    hub = Hub(BY_ID)
    assert hub.knows("orders.*")
    assert not hub.knows("x*")
    taker = Taker()
    assert hub.subscribe_pattern("orders.*", taker, {}) == []
    before = hub.position
    routed(hub, b'{"id":1}', b'{"id":2}')
    first = hub.missed("orders.1", None).position
    routed(hub, b'{"id":1,"n":1}')
    assert len(taker.taken) == 3
    hub.unsubscribe("orders.*", taker)
    assert not hub.patterns
    replays = dict(hub.subscribe_pattern("orders.*", taker, {"orders.1": first, "orders.*": before}))
    assert {name: [frame.body for frame in replay.frames] for name, replay in replays.items()} == {
        "orders.1": [b'{"id":1,"n":1}'],
        "orders.2": [b'{"id":2}'],
    }
    assert not any(replay.gap for replay in replays.values())


def test_filters_choose_what_is_written_and_replayed() -> None:
    hub = Hub(["a"])
    all_, some = Taker(), Taker()
    hub.subscribe("a", all_)
    hub.subscribe("a", some, wanted=parse_filter({"n": 2}))
    publish(hub, "a", b'{"n":1}', b'{"n":2}')
    assert some.taken == [b'\x81\x07{"n":2}']
    assert all_.taken == [b'\x81\x07{"n":1}\x81\x07{"n":2}']
    assert [f.body for f in hub.missed("a", OLDEST, parse_filter({"n": 1})).frames] == [b'{"n":1}']
    hub.unsubscribe("a", some)
    publish(hub, "a", b'{"n":2}')
    assert len(some.taken) == 1
    assert hub.deliveries["a"] == 4


def test_a_tear_is_told_to_those_who_follow_the_topic() -> None:
    hub = Hub(["a", "b"])
    one, other = Taker(), Taker()
    hub.subscribe("a", one)
    hub.subscribe("b", other)
    position = hub.missed("a", None).position
    hub.tear("a")
    assert (one.taken, other.taken) == ([b"missed"], [])
    assert hub.missed("a", position).gap
    assert not hub.missed("b", hub.missed("b", None).position).gap
